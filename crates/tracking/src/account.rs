//! From what was found to a change of priority.

use crate::State;

/// Something tracked and what it weighs, for one virtual router.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Weighted {
    /// Its name.
    pub name: String,
    /// What was found.
    pub state: State,
    /// Zero faults; above, it is added while good; below, it is taken off while bad. A file's number is
    /// multiplied by it.
    pub weight: i32,
    /// Good and bad swapped; for a file, the sign.
    pub reverse: bool,
}

/// The sum.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Account {
    /// To add to the priority.
    pub delta: i32,
    /// Whether something failed that has no weight.
    pub failed: bool,
    /// What contributed, in words.
    pub words: Vec<String>,
}

/// Adds up. What is still unknown counts as good where it has no weight, and as nothing where it has one.
pub fn account(tracks: &[Weighted]) -> Account {
    let mut sum = Account::default();
    for track in tracks {
        let delta = match (track.state, track.weight) {
            (State::Unknown, _) => 0,
            (State::Value(value), 0) => {
                sum.failed |= value != 0;
                if value != 0 {
                    sum.words.push(format!("{} is {value}: fault", track.name));
                }
                0
            }
            (State::Value(value), weight) => {
                let product = value.saturating_mul(weight).clamp(-254, 254);
                if track.reverse { -product } else { product }
            }
            (state, weight) => {
                let good = (state == State::Up) != track.reverse;
                match weight {
                    0 => {
                        sum.failed |= !good;
                        if !good {
                            sum.words.push(format!("{} failed: fault", track.name));
                        }
                        0
                    }
                    1.. if good => weight,
                    ..0 if !good => weight,
                    _ => 0,
                }
            }
        };
        if delta != 0 {
            sum.delta = sum.delta.saturating_add(delta);
            sum.words.push(format!("{} {delta:+}", track.name));
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(state: State, weight: i32, reverse: bool) -> Account {
        account(&[Weighted { name: "t".into(), state, weight, reverse }])
    }

    #[test]
    fn weights_count_as_keepalived_counts_them() {
        for (state, weight, reverse, delta, failed) in [
            (State::Up, 2, false, 2, false),
            (State::Down, 2, false, 0, false),
            (State::Up, -20, false, 0, false),
            (State::Down, -20, false, -20, false),
            (State::Up, 0, false, 0, false),
            (State::Down, 0, false, 0, true),
            (State::Up, 0, true, 0, true),
            (State::Down, 5, true, 5, false),
            (State::Unknown, 0, false, 0, false),
            (State::Unknown, 2, false, 0, false),
            (State::Value(-3), 10, false, -30, false),
            (State::Value(1), 0, false, 0, true),
            (State::Value(0), 0, false, 0, false),
        ] {
            let got = one(state, weight, reverse);
            assert_eq!(
                (got.delta, got.failed),
                (delta, failed),
                "{state:?} weight {weight} reverse {reverse}"
            );
        }
    }
}
