//! What stands in `deploy/`: manifests that Kubernetes would take, an image that could be built, configs that are valid.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::weir::{text, weir};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Python of `scripts/setup.sh test`, and kubectl's path; none where they were not set up. CI has them always.
fn validator() -> Option<(PathBuf, String)> {
    let venv = std::env::var_os("WEIR_VENV").map_or_else(|| root().join("target/venv"), PathBuf::from);
    let python = venv.join("bin/python3");
    let has_schemas = Command::new(&python).args(["-c", "import kubernetes_validate"]).output();
    if !has_schemas.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "{} lacks kubernetes-validate", python.display());
        eprintln!("SKIPPED: the manifests are not validated; run `scripts/setup.sh test`");
        return None;
    }
    let kubectl = Command::new(root().join("scripts/kubectl.sh")).output().unwrap();
    assert!(kubectl.status.success(), "{}", text(&kubectl.stderr));
    Some((python, text(&kubectl.stdout).trim().to_owned()))
}

#[test]
fn manifests_are_valid_and_their_configs_pass_the_check() {
    let Some((python, kubectl)) = validator() else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(python)
        .arg(root().join("deploy/kubernetes/validate.py"))
        .args(["--kubectl", &kubectl, "--configs", &folder.path().display().to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let configs: Vec<PathBuf> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(configs.len(), 2, "{}", text(&output.stdout));
    for config in configs {
        let output = weir(&["check", "-c", &config.display().to_string()]).output().unwrap();
        assert!(output.status.success(), "{}: {}", config.display(), text(&output.stderr));
    }
}

#[test]
fn the_validator_finds_what_is_wrong() {
    let Some((python, kubectl)) = validator() else { return };
    // Each breaks one rule of the base; the schemas or our own rules must name it.
    let breaks = [
        ("      terminationGracePeriodSeconds: 90", "      terminationGracePeriodSeconds: 30", "grace period"),
        ("memory: 1536Mi", "memory: 768Mi", "memory limit"),
        ("runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot"),
        ("path: /readyz", "path: /ready", "readinessProbe"),
        ("containerPort: 9090", "containerPort: 8080", "metrics.listen"),
        ("  replicas: 2", "  replicas: two", "replicas"),
        (
            "    spec:\n      serviceAccountName",
            "    spec:\n      priority_class: x\n      serviceAccountName",
            "priority_class",
        ),
        ("serviceAccountName: weir", "serviceAccountName: other", "service account"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let base = root().join("deploy/kubernetes/base");
    for entry in std::fs::read_dir(&base).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let good = std::fs::read_to_string(base.join("deployment.yaml")).unwrap();
    for (found, instead, told) in breaks {
        assert!(good.contains(found), "the base has no `{found}` any more");
        std::fs::write(folder.path().join("deployment.yaml"), good.replacen(found, instead, 1)).unwrap();
        let output = Command::new(&python)
            .arg(root().join("deploy/kubernetes/validate.py"))
            .args(["--kubectl", &kubectl])
            .arg(folder.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "`{instead}` is let through");
        assert!(text(&output.stderr).contains(told), "`{instead}` gives: {}", text(&output.stderr));
    }
}

#[test]
fn the_alerts_fire_when_records_are_refused_and_name_what_to_do() {
    let folder = root().join("deploy/prometheus");
    if Command::new("promtool").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "promtool is missing; run `scripts/setup.sh test`");
        eprintln!("SKIPPED: the alerts are not tested; run `scripts/setup.sh test`");
        return;
    }
    for arguments in [["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]] {
        let output = Command::new("promtool").args(arguments).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    }
    let page = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let rules = std::fs::read_to_string(folder.join("alerts.yaml")).unwrap();
    let named: Vec<&str> = rules.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).collect();
    for metric in named.iter().filter(|word| word.starts_with("weir_")) {
        assert!(page.contains(&format!("| `{metric}` |")), "there is no metric `{metric}`");
    }
}

/// A Dockerfile's instructions, continued lines joined, comments left out.
fn instructions(dockerfile: &str) -> Vec<(String, String)> {
    let lines = dockerfile.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
    let joined = lines.replace("\\\n", " ");
    let split = |line: &str| line.split_once(' ').map(|(word, rest)| (word.to_owned(), rest.trim().to_owned()));
    joined.lines().filter_map(split).collect()
}

#[test]
fn the_image_is_built_of_what_is_there_and_runs_without_root_or_shell() {
    let dockerfile = std::fs::read_to_string(root().join("deploy/Dockerfile")).unwrap();
    let instructions = instructions(&dockerfile);
    let ignore = std::fs::read_to_string(root().join("deploy/Dockerfile.dockerignore")).unwrap();
    let sent: Vec<&str> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();

    let stages: Vec<&String> = instructions.iter().filter(|(word, _)| word == "FROM").map(|(_, rest)| rest).collect();
    assert_eq!(stages.len(), 2, "one stage builds, one runs");
    let toolchain = format!("rust:{}-", env!("CARGO_PKG_RUST_VERSION"));
    assert!(stages[0].starts_with(&toolchain), "the builder is not the workspace's {toolchain}…: {}", stages[0]);
    assert!(stages[1].contains("distroless") && stages[1].contains("nonroot"), "{}", stages[1]);

    let run_stage = instructions.iter().rposition(|(word, _)| word == "FROM").unwrap();
    for (position, (word, rest)) in instructions.iter().enumerate() {
        match word.as_str() {
            "COPY" if rest.starts_with("--from=") => assert!(rest.starts_with("--from=build "), "{rest}"),
            "COPY" => {
                let words: Vec<&str> = rest.split_whitespace().collect();
                for source in &words[..words.len() - 1] {
                    assert!(root().join(source).exists(), "`{source}` is copied, but not there");
                    assert!(sent.contains(source), "`{source}` is copied, but not sent to the builder");
                }
            }
            "RUN" => assert!(position < run_stage, "the runtime image has no shell to run {rest}"),
            "ADD" => panic!("COPY says what it does, ADD does not"),
            "ENTRYPOINT" | "CMD" => assert!(rest.starts_with('['), "without a shell, {word} must be a list"),
            _ => {}
        }
    }
    let user = instructions[run_stage..].iter().find(|(word, _)| word == "USER").unwrap();
    let id: u32 = user.1.split(':').next().unwrap().parse().expect("Kubernetes can check a number only");
    assert!(id > 0);
}

/// Members of the workspace must be in the image's build context, or the build there fails.
#[test]
fn every_crate_of_the_workspace_is_in_the_build_context() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = manifest.lines().find(|line| line.starts_with("members")).unwrap();
    let dockerfile = std::fs::read_to_string(root().join("deploy/Dockerfile")).unwrap();
    for member in members.split('"').skip(1).step_by(2) {
        let folder = member.split('/').next().unwrap();
        assert!(dockerfile.contains(&format!("COPY {folder} ")), "{member} is not copied");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_binary_needs_no_library_that_the_image_lacks() {
    // What distroless/cc-debian12 has, and zlib, which the Dockerfile adds.
    let present = ["libc.", "libm.", "libgcc_s.", "libstdc++.", "libssl.", "libcrypto.", "libz."];
    let output = Command::new("ldd").arg(env!("CARGO_BIN_EXE_weir")).output().unwrap();
    let listed = text(&output.stdout);
    let needed: Vec<&str> =
        listed.lines().filter(|line| line.contains("=>")).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(needed.iter().any(|name| name.starts_with("libc.")), "{listed}");
    for name in needed {
        assert!(present.iter().any(|prefix| name.starts_with(prefix)), "the image lacks {name}");
    }
}

#[test]
fn every_example_says_what_it_does() {
    let mut count = 0;
    for entry in std::fs::read_dir(root().join("deploy/examples")).unwrap() {
        let path = entry.unwrap().path();
        let example = std::fs::read_to_string(&path).unwrap();
        assert!(example.starts_with("# "), "{} begins without a comment", path.display());
        assert!(!example.contains("password:") && !example.contains("SharedAccessKey="), "{}", path.display());
        count += 1;
    }
    assert!(count >= 3);
}
