//! Measured values, and what is said of them.

/// The values of one measure, one for each run.
#[derive(Clone, Default, Debug)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    /// Adds a run.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    fn sorted(&self) -> Vec<f64> {
        let mut values = self.0.clone();
        values.sort_by(f64::total_cmp);
        values
    }

    /// The upper median: a value that was measured.
    pub(crate) fn median(&self) -> Option<f64> {
        let values = self.sorted();
        values.get(values.len() / 2).copied()
    }

    pub(crate) fn largest(&self) -> Option<f64> {
        self.sorted().last().copied()
    }

    pub(crate) fn smallest(&self) -> Option<f64> {
        self.sorted().first().copied()
    }
}

/// Which end of a measure is the bad one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Worst {
    Largest,
    Smallest,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What is measured, with its unit.
    pub(crate) measure: String,
    pub(crate) keepalived: Series,
    pub(crate) standfast: Series,
    pub(crate) worst: Worst,
    /// What is to be reached by the median, in the measure's unit, and by the worst where that is asked for.
    pub(crate) goal: Goal,
}

/// What is to be reached.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Goal {
    /// The median is no more than this.
    MedianUpTo(f64),
    /// Every run is no more than this.
    EveryUpTo(f64),
    /// Every run is at least this.
    EveryFrom(f64),
    /// The median is no more than keepalived's.
    NoMoreThanKeepalived,
    /// Only shown.
    None,
}

fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value.abs() >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

impl Row {
    pub(crate) fn new(measure: impl Into<String>, worst: Worst, goal: Goal) -> Self {
        Self {
            measure: measure.into(),
            keepalived: Series::default(),
            standfast: Series::default(),
            worst,
            goal,
        }
    }

    fn worst_of(&self, series: &Series) -> Option<f64> {
        match self.worst {
            Worst::Largest => series.largest(),
            Worst::Smallest => series.smallest(),
        }
    }

    /// Whether the goal is reached; none where nothing was to be.
    fn reached(&self) -> Option<bool> {
        let ours = &self.standfast;
        match self.goal {
            Goal::MedianUpTo(limit) => ours.median().map(|median| median <= limit),
            Goal::EveryUpTo(limit) => ours.largest().map(|largest| largest <= limit),
            Goal::EveryFrom(limit) => ours.smallest().map(|smallest| smallest >= limit),
            Goal::NoMoreThanKeepalived => Some(ours.median()? <= self.keepalived.median()?),
            Goal::None => None,
        }
    }

    /// The line of the table: keepalived, Standfast (median and worst), their ratio, the goal.
    pub(crate) fn line(&self) -> String {
        let both =
            |series: &Series| format!("{} / {}", number(series.median()), number(self.worst_of(series)));
        let ratio = match (self.standfast.median(), self.keepalived.median()) {
            (Some(ours), Some(theirs)) if theirs.abs() > f64::EPSILON => format!("{:.2}", ours / theirs),
            _ => "-".to_owned(),
        };
        let goal = match self.goal {
            Goal::MedianUpTo(limit) => format!("≤ {}", number(Some(limit))),
            Goal::EveryUpTo(limit) => format!("≤ {} in every run", number(Some(limit))),
            Goal::EveryFrom(limit) => format!("≥ {} in every run", number(Some(limit))),
            Goal::NoMoreThanKeepalived => "≤ keepalived".to_owned(),
            Goal::None => "-".to_owned(),
        };
        let reached = match self.reached() {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        format!(
            "| {} | {} | {} | {ratio} | {goal} | {reached} | {} |",
            self.measure,
            both(&self.keepalived),
            both(&self.standfast),
            self.standfast.len()
        )
    }
}

/// The heading of the table.
pub(crate) const HEADING: &str = "| measure | keepalived, median / worst | Standfast, median / worst | ratio | to reach | reached | runs |\n|---|---|---|---|---|---|---|";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_median_worst_ratio_and_whether_the_goal_is_reached() {
        let mut row = Row::new("pings lost", Worst::Largest, Goal::EveryUpTo(0.0));
        for (theirs, ours) in [(60.0, 0.0), (63.0, 0.0), (70.0, 1.0)] {
            row.keepalived.push(theirs);
            row.standfast.push(ours);
        }
        assert_eq!(row.line(), "| pings lost | 63 / 70 | 0 / 1 | 0.00 | ≤ 0 in every run | **no** | 3 |");
    }
}
