//! Workers of one group are killed at random, again and again, while events stream in; in the end each event must stand
//! in the lake exactly once and in the workspace at least once.
//!
//! `make test` runs the short form. `make torture` sets `WEIR_TORTURE_EVENTS` and `WEIR_TORTURE_KILLS` for the long one;
//! `WEIR_TORTURE_SEED` replays the moments and the victims of a run.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::AsArray as _;
use arrow::datatypes::DataType;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};
use weir_sink::lake::config::{LakeConfig, StorageOption};
use weir_stand_in::{StandIn, StandInConfig};

use crate::support::azurite::Azurite;
use crate::support::scrape::scrape;
use crate::support::server::free_port;
use crate::support::tansu::Tansu;
use crate::support::weir::{Running, Workplace, lake_counts, lake_rows};
use crate::support::workspace::load_rules;

const TOPIC: &str = "insights-defender";
const PARTITIONS: i32 = 8;
const WORKERS: usize = 3;
/// Events of one message, as Event Hubs delivers several in one.
const EVENTS_PER_MESSAGE: u64 = 20;
/// Longest silence of the lake at the end before the test gives up.
const PATIENCE: Duration = Duration::from_secs(90);

/// What is killed, how often, and by which seed.
struct Plan {
    events: u64,
    kills: u64,
    seed: u64,
}

impl Plan {
    fn new(events: u64, kills: u64) -> Self {
        let number = |name: &str, default| match std::env::var(name) {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`, which is no number")),
            Err(_) => default,
        };
        let seed = number("WEIR_TORTURE_SEED", rand::random());
        Self {
            events: number("WEIR_TORTURE_EVENTS", events).next_multiple_of(EVENTS_PER_MESSAGE),
            kills: number("WEIR_TORTURE_KILLS", kills),
            seed,
        }
    }
}

/// What became of the events.
#[derive(Debug, Default)]
struct Verdict {
    lost: u64,
    doubled_lake: u64,
    doubled_workspace: u64,
    lost_workspace: u64,
    in_flight_max: u64,
}

/// One worker at a time: the process, and what it has in flight by its own account.
struct Worker {
    name: usize,
    running: Running,
    in_flight_max: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Worker {
    fn start(name: usize, config: &str) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let running = Running::start(&["run", "-c", config, "--listen", &address]);
        let (in_flight_max, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (most, stop) = (Arc::clone(&in_flight_max), Arc::clone(&ended));
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                if let Some(seen) = scrape(&address).await {
                    let messages = seen.sum("weir_source_in_flight_records") as u64;
                    most.fetch_max(messages * EVENTS_PER_MESSAGE, Ordering::Relaxed);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Self { name, running, in_flight_max, ended }
    }

    /// Kills it; gives the most that it had in flight.
    fn kill(self) -> u64 {
        drop(self.running);
        self.ended.store(true, Ordering::Relaxed);
        self.in_flight_max.load(Ordering::Relaxed)
    }
}

/// Everything of one run.
struct Scene {
    place: Workplace,
    broker: Tansu,
    workspace: StandIn,
    lake: LakeConfig,
    /// What must live as long.
    _store: Option<Azurite>,
}

impl Scene {
    async fn new(in_azurite: bool) -> Self {
        let broker = Tansu::start().await;
        broker.create_topic(TOPIC, PARTITIONS).await;
        let settings = StandInConfig { keep_rows: usize::MAX, keep_bytes: usize::MAX, ..StandInConfig::default() };
        let (tenant, client, secret) =
            (settings.tenant.clone(), settings.client_id.clone(), settings.client_secret.clone());
        let workspace = StandIn::start(settings).await.expect("a free port");
        let place = Workplace::new();
        place.write("secret", secret);
        let rules = load_rules(&workspace, &place);
        let (store, lake, lake_yaml) = if in_azurite {
            let store = Azurite::start().await;
            let container = store.create_container("lake").await;
            let mut lake = LakeConfig::at(format!("az://{container}/lake"));
            let key = store.account_key().to_owned();
            place.write("key", &key);
            let options = [
                ("azure_storage_account_name", store.account_name().to_owned()),
                ("azure_storage_endpoint", store.endpoint()),
                ("allow_http", "true".to_owned()),
            ];
            let mut yaml = format!("lake:\n  url: \"{}\"\n  flush_interval: 500ms\n  storage:\n", lake.url);
            for (name, value) in options {
                yaml += &format!("    {name}: \"{value}\"\n");
                lake.storage.insert(name.to_owned(), StorageOption::Text(value));
            }
            yaml += "    azure_storage_account_key: {file: \"{dir}/key\"}\n";
            let file = place.path("key").display().to_string();
            let secret = serde_json::from_value(json!({"file": file})).expect("a reference to a secret");
            lake.storage.insert("azure_storage_account_key".to_owned(), StorageOption::Secret(secret));
            (Some(store), lake, yaml)
        } else {
            (None, place.lake(), "lake: {url: \"{dir}/lake\", flush_interval: 500ms}\n".to_owned())
        };
        let (url, bootstrap) = (workspace.url(), broker.bootstrap());
        for worker in 0..WORKERS {
            let text = format!(
                "sources:\n  - name: hub\n    kafka:\n      brokers: [\"{bootstrap}\"]\n      topics: [{TOPIC}]\n      \
                 group: torture\n      max_batch_bytes: 128KiB\n      commit_interval: 200ms\n      \
                 properties: {{session.timeout.ms: \"6000\", heartbeat.interval.ms: \"500\"}}\n\
                 {lake_yaml}\
                 sentinel:\n  endpoint: {url}\n  max_wait: 200ms\n  rules:\n{rules}  credential:\n    client_secret:\n      tenant_id: {tenant}\n      \
                 client_id: {client}\n      secret: {{file: \"{{dir}}/secret\"}}\n      authority: {url}\n"
            );
            let text = text.replace("{dir}", &place.path("").display().to_string());
            place.write(&format!("worker{worker}.yaml"), text);
        }
        Self { place, broker, workspace, lake, _store: store }
    }

    fn config(&self, worker: usize) -> String {
        self.place.path(&format!("worker{worker}.yaml")).display().to_string()
    }

    fn producer(&self) -> FutureProducer {
        // One message per record batch: see the broker test.
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.broker.bootstrap()).set("batch.num.messages", "1");
        config.set("queue.buffering.max.messages", "200000");
        config.create().expect("a producer")
    }

    /// Runs the plan.
    async fn run(&self, plan: &Plan) -> Verdict {
        let mut random = SmallRng::seed_from_u64(plan.seed);
        let mut workers: Vec<Worker> = (0..WORKERS).map(|name| Worker::start(name, &self.config(name))).collect();
        let producer = self.producer();
        let slice = (plan.events / (plan.kills + 1)).next_multiple_of(EVENTS_PER_MESSAGE);
        let mut sent = 0;
        let mut in_flight_max = 0;
        for _ in 0..plan.kills {
            let next = (sent + slice).min(plan.events);
            produce(&producer, sent..next).await;
            sent = next;
            tokio::time::sleep(Duration::from_millis(random.random_range(200..2500))).await;
            let victim = workers.swap_remove(random.random_range(0..workers.len()));
            let name = victim.name;
            in_flight_max = victim.kill().max(in_flight_max);
            tokio::time::sleep(Duration::from_millis(random.random_range(0..800))).await;
            workers.push(Worker::start(name, &self.config(name)));
        }
        produce(&producer, sent..plan.events).await;
        self.settle(plan.events, &mut workers).await;
        for worker in workers {
            in_flight_max = worker.in_flight_max.load(Ordering::Relaxed).max(in_flight_max);
            worker.ended.store(true, Ordering::Relaxed);
            let name = worker.name;
            assert_eq!(worker.running.terminate(), Some(0), "worker {name} ends cleanly");
        }
        self.judge(plan.events, in_flight_max).await
    }

    /// Waits until the lake and the workspace have as many rows as there are events, or nothing more comes.
    ///
    /// The broker (tansu 0.6) may keep a member that was killed in the group until somebody joins anew, and with it that
    /// member's partitions: after a silence longer than the session's timeout one worker is started again.
    async fn settle(&self, events: u64, workers: &mut Vec<Worker>) {
        let (mut known, mut since) = ((0, 0), Instant::now());
        let mut joined = Instant::now();
        loop {
            let in_lake = lake_counts(&self.lake).await.values().sum::<u64>();
            let delivered = self.workspace.state().tables().values().map(|table| table.rows).sum::<u64>();
            if in_lake >= events && delivered >= events {
                return;
            }
            if known != (in_lake, delivered) {
                (known, since) = ((in_lake, delivered), Instant::now());
                joined = since;
            }
            if joined.elapsed() > Duration::from_secs(15) {
                let worker = workers.swap_remove(0);
                let name = worker.name;
                worker.ended.store(true, Ordering::Relaxed);
                assert_eq!(worker.running.terminate(), Some(0), "worker {name} ends cleanly");
                workers.push(Worker::start(name, &self.config(name)));
                joined = Instant::now();
            }
            if since.elapsed() > PATIENCE {
                eprintln!("nothing more comes: {in_lake} in the lake, {delivered} in the workspace, {events} sent");
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn judge(&self, events: u64, in_flight_max: u64) -> Verdict {
        let mut in_lake = vec![0_u32; events as usize];
        for table in lake_counts(&self.lake).await.keys() {
            for batch in lake_rows(&self.lake, table).await {
                let column = batch.column_by_name("AdditionalFields").expect("ASIM tables have it");
                let column = arrow::compute::cast(column, &DataType::Utf8).expect("text");
                for text in column.as_string::<i32>() {
                    in_lake[number_in(text.expect("each row has a number"))] += 1;
                }
            }
        }
        let mut in_workspace = vec![0_u32; events as usize];
        let mut ids: HashMap<String, usize> = HashMap::new();
        for table in self.workspace.state().tables().keys() {
            for row in self.workspace.state().rows(table) {
                let fields = &row["AdditionalFields"];
                let number = number_in(&fields.to_string());
                in_workspace[number] += 1;
                let id = fields["WeirId"].as_str().expect("each row has an id").to_owned();
                assert_eq!(*ids.entry(id).or_insert(number), number, "two events share an id");
            }
        }
        let present = in_workspace.iter().filter(|count| **count > 0).count();
        assert_eq!(ids.len(), present, "the copies of an event share their id: what doubles can be told");
        tell_gaps("lake", &in_lake);
        tell_gaps("workspace", &in_workspace);
        let doubled = |counts: &[u32]| counts.iter().map(|count| u64::from(count.saturating_sub(1))).sum();
        let missing = |counts: &[u32]| counts.iter().filter(|count| **count == 0).count() as u64;
        Verdict {
            lost: missing(&in_lake),
            doubled_lake: doubled(&in_lake),
            doubled_workspace: doubled(&in_workspace),
            lost_workspace: missing(&in_workspace),
            in_flight_max,
        }
    }
}

/// Prints which events are missing, as stretches.
fn tell_gaps(place: &str, counts: &[u32]) {
    let mut start = None;
    for number in 0..=counts.len() {
        let is_missing = counts.get(number) == Some(&0);
        match (is_missing, start) {
            (true, None) => start = Some(number),
            (false, Some(first)) => {
                eprintln!("missing in the {place}: events {first} to {}", number - 1);
                start = None;
            }
            _ => {}
        }
    }
}

fn number_in(text: &str) -> usize {
    let number = text.split_once("number-").and_then(|(_, rest)| rest.split(';').next());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("a number in {text}"))
}

/// Sends the events with these numbers, several per message.
async fn produce(producer: &FutureProducer, numbers: std::ops::Range<u64>) {
    let mut first = numbers.start;
    while first < numbers.end {
        let messages = (first..numbers.end).step_by(EVENTS_PER_MESSAGE as usize).take(2000);
        let sends = messages.map(|begin| {
            let payload = message(begin..(begin + EVENTS_PER_MESSAGE).min(numbers.end));
            async move {
                // With a key, or a whole slice would go to one partition.
                let key = begin.to_string();
                let record = FutureRecord::to(TOPIC).key(&key).payload(&payload);
                producer.send(record, Duration::from_secs(60)).await.expect("the broker takes it");
            }
        });
        futures::future::join_all(sends).await;
        first += 2000 * EVENTS_PER_MESSAGE;
    }
}

fn message(numbers: std::ops::Range<u64>) -> String {
    let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let record = |number: u64| {
        let group = format!("number-{number};");
        let (table, own) = if number.is_multiple_of(3) {
            let key = "HKEY_LOCAL_MACHINE\\SOFTWARE\\Northwind";
            ("DeviceRegistryEvents", json!({"ActionType": "RegistryValueSet", "RegistryKey": key}))
        } else {
            ("DeviceFileEvents", json!({"ActionType": "FileCreated", "FileName": "a.txt", "FolderPath": "C:\\a.txt"}))
        };
        let mut properties = json!({
            "Timestamp": now, "DeviceId": "0123456789abcdef", "DeviceName": "wks-1.contoso.example",
            "ReportId": number, "MachineGroup": group,
        });
        let both = properties.as_object_mut().expect("an object");
        both.extend(own.as_object().expect("an object").clone());
        json!({"time": now, "category": format!("AdvancedHunting-{table}"), "properties": properties})
    };
    let records: Vec<Value> = numbers.map(record).collect();
    json!({ "records": records }).to_string()
}

async fn torture(sinks: &str, in_azurite: bool, plan: Plan) {
    let started = Instant::now();
    let scene = Scene::new(in_azurite).await;
    let verdict = scene.run(&plan).await;
    let Plan { events, kills, seed } = plan;
    let Verdict { lost, doubled_lake, doubled_workspace, lost_workspace, in_flight_max } = verdict;
    println!("torture: sinks={sinks} seed={seed} seconds={}", started.elapsed().as_secs());
    println!(
        "events={events} kills={kills} lost={} doubled_lake={doubled_lake} doubled_workspace={doubled_workspace} \
         in_flight_max={in_flight_max}",
        lost + lost_workspace
    );
    let replay = format!("replay with WEIR_TORTURE_SEED={seed}");
    assert_eq!((lost, doubled_lake), (0, 0), "each event is in the lake exactly once; {replay}");
    assert_eq!(lost_workspace, 0, "each event is in the workspace; {replay}");
    // What a kill doubles was in flight in the one that was killed, or in those that its partitions moved between.
    let bound = kills * in_flight_max * WORKERS as u64;
    assert!(doubled_workspace <= bound, "{doubled_workspace} doubled, at most {bound} in flight; {replay}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_kill_loses_or_doubles_an_event_on_a_local_disk() {
    torture("disk,workspace", false, Plan::new(40_000, 10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_kill_loses_or_doubles_an_event_in_an_object_store() {
    torture("azurite,workspace", true, Plan::new(20_000, 5)).await;
}
