//! What bytes cost: list prices from a dated file that a config can replace.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The plan that a table is on, which sets its price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Full price: all of KQL, detection rules, 90 days included.
    #[default]
    Analytics,
    /// Reduced price; queries are charged by the gigabyte scanned, no detection rules.
    Basic,
    /// The lake tier (also called auxiliary): lowest price, queries charged by the gigabyte scanned.
    Lake,
}

impl Tier {
    /// The name in configs and metric labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Analytics => "analytics",
            Self::Basic => "basic",
            Self::Lake => "lake",
        }
    }
}

/// Days that [`Prices::dollars_per_month`] counts as a month.
pub const DAYS_PER_MONTH: f64 = 30.0;
/// Bytes of a gigabyte on the invoice.
pub const BYTES_PER_GB: f64 = 1e9;

/// List prices of one region at one date.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// The date that the prices were valid at, `YYYY-MM-DD`.
    pub as_of: String,
    /// The Azure region, such as `eastus`.
    pub region: String,
    /// ISO code of the currency; the methods say dollars, and mean this.
    pub currency: String,
    /// Where the numbers come from.
    pub source: String,
    /// Prices by the gigabyte (10⁹ bytes).
    pub per_gb: PerGb,
    /// Daily commitments, smallest first.
    pub commitment_tiers: Vec<CommitmentTier>,
}

/// Prices by the gigabyte of billed size.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerGb {
    /// Analytics, pay as you go.
    pub analytics: f64,
    /// Basic ingestion.
    pub basic: f64,
    /// Lake tier, ingestion.
    pub lake_ingestion: f64,
    /// Lake tier, processing; charged on top of ingestion.
    pub lake_processing: f64,
}

/// A commitment to pay for so many gigabytes a day.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitmentTier {
    /// Gigabytes a day that the fee covers.
    pub gb_per_day: f64,
    /// The fee of one day; what exceeds the tier is charged at the same rate.
    pub fee_per_day: f64,
    /// Whether the fee was derived from another region's instead of quoted.
    #[serde(default)]
    pub estimated: bool,
}

/// Why a file of prices can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PricesError {
    /// The file can't be read.
    #[error("cannot read the prices file `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file is no list of prices.
    #[error("the prices file `{}` is not as expected; start from the one in Weir's source, `sink/prices.json`", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The cause, with line and column.
        #[source]
        source: serde_json::Error,
    },
}

impl Prices {
    /// The prices that Weir comes with: East US, dated in the file.
    pub fn embedded() -> Self {
        serde_json::from_str(include_str!("../../prices.json")).expect("the embedded prices are tested")
    }

    /// Prices from a JSON file of the same form as the embedded one.
    pub fn load(path: &Path) -> Result<Self, PricesError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| PricesError::Read { path: path.to_owned(), source })?;
        serde_json::from_str(&text).map_err(|source| PricesError::Parse { path: path.to_owned(), source })
    }

    /// What ingesting one gigabyte costs on `tier`, without a commitment. For the lake tier that is ingestion and
    /// processing; storage and queries come on top.
    pub fn dollars_per_gb(&self, tier: Tier) -> f64 {
        match tier {
            Tier::Analytics => self.per_gb.analytics,
            Tier::Basic => self.per_gb.basic,
            Tier::Lake => self.per_gb.lake_ingestion + self.per_gb.lake_processing,
        }
    }

    /// What ingesting `bytes_per_day` of billed size costs in a month of [`DAYS_PER_MONTH`] days, without a commitment.
    pub fn dollars_per_month(&self, tier: Tier, bytes_per_day: f64) -> f64 {
        bytes_per_day / BYTES_PER_GB * self.dollars_per_gb(tier) * DAYS_PER_MONTH
    }

    /// The cheapest way to pay for `bytes_per_day` on the analytics tier, all tables together: the commitment, or
    /// `None` for pay as you go, and the dollars of a day.
    pub fn cheapest_analytics(&self, bytes_per_day: f64) -> (Option<CommitmentTier>, f64) {
        let gb = bytes_per_day / BYTES_PER_GB;
        let as_you_go = (None, gb * self.per_gb.analytics);
        self.commitment_tiers
            .iter()
            .map(|tier| (Some(*tier), tier.fee_per_day * (gb / tier.gb_per_day).max(1.0)))
            .fold(as_you_go, |best, offer| if offer.1 < best.1 { offer } else { best })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_dated_and_the_cheapest_plan_follows_the_break_even() {
        let prices = Prices::embedded();
        assert_eq!(prices.as_of.len(), 10);
        assert!((prices.dollars_per_month(Tier::Analytics, 1e9) - 129.0).abs() < 1e-9);
        assert!((prices.dollars_per_month(Tier::Lake, 10e9) - 45.0).abs() < 1e-9);
        // Break-evens of the East US list: 37.5 GB/day for the tier of 50, 185 for that of 200.
        assert_eq!(prices.cheapest_analytics(37e9).0, None);
        assert_eq!(prices.cheapest_analytics(38e9).0.map(|tier| tier.gb_per_day), Some(50.0));
        assert_eq!(prices.cheapest_analytics(184e9).0.map(|tier| tier.gb_per_day), Some(100.0));
        assert_eq!(prices.cheapest_analytics(186e9).0.map(|tier| tier.gb_per_day), Some(200.0));
        // 300 GB on the tier of 200 is one and a half fees; the tier of 300 is cheaper.
        let (tier, dollars) = prices.cheapest_analytics(300e9);
        assert_eq!(tier.map(|tier| tier.gb_per_day), Some(300.0));
        assert!((dollars - 800.0).abs() < 1e-9);
        assert!(prices.commitment_tiers.is_sorted_by(|a, b| a.gb_per_day < b.gb_per_day));
    }

    #[test]
    fn a_wrong_prices_file_is_named() {
        let error = Prices::load(Path::new("no/such/prices.json")).expect_err("no such file");
        assert!(error.to_string().contains("no/such/prices.json"));
    }
}
