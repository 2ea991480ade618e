//! The endpoint of a running process, as Prometheus and Kubernetes see it.

use std::net::TcpListener;

/// A loopback address that nobody listens on right now.
pub(crate) fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it is bound").to_string()
}

/// The status of `GET path`; `None` if nobody answers.
pub(crate) async fn status(address: &str, path: &str) -> Option<u16> {
    reqwest::get(format!("http://{address}{path}")).await.ok().map(|answer| answer.status().as_u16())
}

/// The samples of one look at `/metrics`.
pub(crate) struct Scrape(Vec<Sample>);

/// A name, its labels and the value.
type Sample = (String, Vec<(String, String)>, f64);

/// Looks at `/metrics`; `None` if nobody answers.
pub(crate) async fn scrape(address: &str) -> Option<Scrape> {
    let text = reqwest::get(format!("http://{address}/metrics")).await.ok()?.text().await.ok()?;
    let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(|line| {
        let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').expect("labels are closed");
        let labels = labels.split("\",").filter(|label| !label.is_empty()).map(|label| {
            let (key, value) = label.split_once("=\"").expect("a label has a value");
            (key.to_owned(), value.trim_end_matches('"').to_owned())
        });
        (name.to_owned(), labels.collect(), value.parse().expect("a number"))
    });
    Some(Scrape(samples.collect()))
}

impl Scrape {
    /// The value of the series with exactly these labels; panics with its siblings if there is none.
    pub(crate) fn get(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let siblings: Vec<_> = self.0.iter().filter(|(found, ..)| found == name).collect();
        let fits = |found: &[(String, String)]| {
            found.len() == labels.len()
                && labels.iter().all(|(key, value)| found.iter().any(|(k, v)| k == key && v == value))
        };
        let series = siblings.iter().find(|(_, found, _)| fits(found));
        series.unwrap_or_else(|| panic!("no series {name} {labels:?} in {siblings:?}")).2
    }

    /// The value of the one series without labels.
    pub(crate) fn one(&self, name: &str) -> f64 {
        self.get(name, &[])
    }

    /// How many series a name has.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.0.iter().filter(|(found, ..)| found == name).count()
    }

    /// The sum over all series of a name; 0 if there is none.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.0.iter().filter(|(found, ..)| found == name).map(|(.., value)| value).sum()
    }
}
