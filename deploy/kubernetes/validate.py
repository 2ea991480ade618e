#!/usr/bin/env python3
"""Renders the manifests with kustomize and checks them.

Each rendered object is held against the schemas that Kubernetes publishes (package kubernetes-validate, strict: unknown
fields are faults). Then come the rules that no schema has and that make the deployment work: selectors meet labels, ports
meet names, the memory limit leaves room beside Weir's own budget, the grace period is longer than the deadline of the
shutdown, and nothing runs as root or may write to its image.

    validate.py [--kubectl PATH] [--configs FOLDER] [KUSTOMIZATION…]

With --configs the weir.yaml of each rendering is written to that folder, as <kustomization>.yaml, for `weir check`.
Exit status 1 if there are faults; they are all printed.
"""

import argparse
import pathlib
import re
import subprocess
import sys

import kubernetes_validate
import yaml

HERE = pathlib.Path(__file__).resolve().parent
KUSTOMIZATIONS = ["base", "overlays/aks"]
KUBERNETES = "1.34"
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
SECONDS = {"s": 1, "m": 60, "h": 3600}


def main():
    parser = argparse.ArgumentParser(description="Check the Kubernetes manifests.")
    parser.add_argument("--kubectl", default="kubectl")
    parser.add_argument("--configs", type=pathlib.Path)
    parser.add_argument("kustomizations", nargs="*", default=KUSTOMIZATIONS)
    args = parser.parse_args()
    faults = []
    for name in args.kustomizations:
        objects = render(args.kubectl, HERE / name)
        found = [*schema_faults(objects), *rule_faults(objects)]
        faults += [f"{name}: {fault}" for fault in found]
        print(f"{name}: {len(objects)} objects, {len(found)} faults")
        if args.configs:
            config = by_kind(objects, "ConfigMap")[0]["data"]["weir.yaml"]
            (args.configs / f"{name.replace('/', '-')}.yaml").write_text(config, encoding="utf-8")
    print("\n".join(faults), file=sys.stderr)
    return 1 if faults else 0


def render(kubectl, folder):
    """The objects that kustomize makes of a folder."""
    text = subprocess.run([kubectl, "kustomize", folder], check=True, capture_output=True, text=True).stdout
    return [item for item in yaml.safe_load_all(text) if item]


def schema_faults(objects):
    for item in objects:
        try:
            kubernetes_validate.validate(item, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as fault:
            path = ".".join(str(part) for part in fault.path)
            yield f"{label(item)}: {path}: {fault.message}"


def rule_faults(objects):
    """The rules that no schema has."""
    [deployment] = by_kind(objects, "Deployment")
    [config_map] = by_kind(objects, "ConfigMap")
    pod = deployment["spec"]["template"]
    spec = pod["spec"]
    [container] = spec["containers"]
    config = yaml.safe_load(config_map["data"]["weir.yaml"])

    yield from selector_faults(objects, pod["metadata"]["labels"])
    yield from security_faults(spec, container)
    yield from probe_faults(objects, container, config)
    yield from reference_faults(objects, spec, container, config)

    budget = size(config["memory"]["budget"])
    limit = size(container["resources"]["limits"]["memory"])
    if limit < 2 * budget:
        yield f"the memory limit ({limit}) is less than twice the budget ({budget})"
    if size(container["resources"]["requests"]["memory"]) < budget:
        yield "the memory request is less than the budget"
    deadline = seconds(config["shutdown"]["deadline"])
    if spec["terminationGracePeriodSeconds"] <= deadline:
        yield f"the grace period is no longer than shutdown.deadline ({deadline} s)"
    if deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] != 0:
        yield "a rollout may leave fewer workers than before"
    if not re.fullmatch(r".+:[0-9][\w.-]*", container["image"]):
        yield f"image {container['image']} has no version"


def selector_faults(objects, labels):
    [deployment] = by_kind(objects, "Deployment")
    [service] = by_kind(objects, "Service")
    [budget] = by_kind(objects, "PodDisruptionBudget")
    selectors = {
        "Deployment": deployment["spec"]["selector"]["matchLabels"],
        "Service": service["spec"]["selector"],
        "PodDisruptionBudget": budget["spec"]["selector"]["matchLabels"],
    }
    spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    for number, constraint in enumerate(spread):
        selectors[f"topologySpreadConstraints[{number}]"] = constraint["labelSelector"]["matchLabels"]
    for kind, selector in selectors.items():
        if not selector or not selector.items() <= labels.items():
            yield f"the selector of {kind} does not match the pods' labels {labels}"
    scalers = by_kind(objects, "HorizontalPodAutoscaler")
    for scaler in scalers:
        target = scaler["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) != ("Deployment", deployment["metadata"]["name"]):
            yield f"the autoscaler scales {target['kind']} {target['name']}"
    if bool(scalers) == ("replicas" in deployment["spec"]):
        yield "exactly one of `replicas` and an autoscaler must decide the number of workers"


def security_faults(spec, container):
    pod, own = spec.get("securityContext", {}), container.get("securityContext", {})
    wanted = {
        "runAsNonRoot": (pod.get("runAsNonRoot"), True),
        "seccompProfile": (pod.get("seccompProfile", {}).get("type"), "RuntimeDefault"),
        "readOnlyRootFilesystem": (own.get("readOnlyRootFilesystem"), True),
        "allowPrivilegeEscalation": (own.get("allowPrivilegeEscalation"), False),
        "capabilities.drop": (own.get("capabilities", {}).get("drop"), ["ALL"]),
        "automountServiceAccountToken": (spec.get("automountServiceAccountToken"), False),
    }
    for key, (found, value) in wanted.items():
        if found != value:
            yield f"{key} is {found}; it must be {value}"


def probe_faults(objects, container, config):
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    listens_on = int(config["metrics"]["listen"].rsplit(":", 1)[1])
    if ports.get("metrics") != listens_on:
        yield f"the port `metrics` is {ports.get('metrics')}, but metrics.listen has {listens_on}"
    for probe, path in [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]:
        asks = container.get(probe, {}).get("httpGet", {})
        if (asks.get("path"), asks.get("port")) != (path, "metrics"):
            yield f"{probe} does not ask {path} of the port `metrics`"
    [service] = by_kind(objects, "Service")
    for port in service["spec"]["ports"]:
        if port["targetPort"] not in ports:
            yield f"the service's port {port['name']} leads to no port of the container"


def reference_faults(objects, spec, container, config):
    """What the pod names must be there, and what the config names must be mounted or set."""
    [config_map] = by_kind(objects, "ConfigMap")
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for mount in container["volumeMounts"]:
        if mount["name"] not in volumes:
            yield f"volume {mount['name']} is mounted, but not there"
    if volumes["config"]["configMap"]["name"] != config_map["metadata"]["name"]:
        yield "the pods mount another config than the generated one"
    accounts = [account["metadata"]["name"] for account in by_kind(objects, "ServiceAccount")]
    if spec["serviceAccountName"] not in accounts:
        yield f"service account {spec['serviceAccountName']} is not there"
    uses_identity = "workload_identity" in str(config)
    labels = by_kind(objects, "Deployment")[0]["spec"]["template"]["metadata"]["labels"]
    if uses_identity != (labels.get("azure.workload.identity/use") == "true"):
        yield "the config and the pods' label azure.workload.identity/use do not agree"
    if uses_identity:
        for account in by_kind(objects, "ServiceAccount"):
            if "azure.workload.identity/client-id" not in account["metadata"].get("annotations", {}):
                yield "the service account does not say the client id of its identity"
    reads_secrets = "'env':" in str(config)
    if reads_secrets != bool(container.get("envFrom")):
        yield "the config reads secrets from the environment, but none is set" if reads_secrets else (
            "the pods get secrets that the config does not read"
        )


def by_kind(objects, kind):
    return [item for item in objects if item["kind"] == kind]


def label(item):
    return f"{item['kind']} {item['metadata']['name']}"


def size(text):
    """Bytes of `512Mi` or `512MiB`."""
    number, unit = re.fullmatch(r"(\d+)([KMG]iB?)", text).groups()
    return int(number) * UNITS[unit]


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)([smh])", text).groups()
    return int(number) * SECONDS[unit]


if __name__ == "__main__":
    sys.exit(main())
