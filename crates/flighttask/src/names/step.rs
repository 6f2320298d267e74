//! What the steps of a flight task are called, and how far the flight is with them.

mod table;

use super::StepFamily;
use Phase::{Finishing, Flying, Preparing, Returning, Waiting};
use table::{ROWS, Row};

/// How far a flight is. DJI has no such thing: it is our reading of the steps' descriptions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Phase {
    /// Nothing was ordered yet.
    Waiting,
    /// Up to the start of the route: the aircraft is in the dock.
    Preparing,
    /// The route is being flown.
    Flying,
    /// On the way home, up to the landing.
    Returning,
    /// What the dock does after the landing.
    Finishing,
}

impl Phase {
    /// Its name in lower case, as for a label or a column.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Waiting => "waiting",
            Preparing => "preparing",
            Flying => "flying",
            Returning => "returning",
            Finishing => "finishing",
        }
    }
}

/// What `current_step` says that the dock does (DJI Cloud API, "Report mission progress"). None for a
/// number that this family does not have.
#[must_use]
pub fn step_name(family: StepFamily, step: i64) -> Option<&'static str> {
    Some(row(family, step)?.name)
}

/// How far the flight is at that step. None as well for the two steps that say that they say nothing.
#[must_use]
pub fn phase(family: StepFamily, step: i64) -> Option<Phase> {
    row(family, step)?.phase
}

const fn meaning(name: &'static str, phase: Phase) -> Row {
    Row { steps: [None; 3], name, phase: Some(phase) }
}

const FETCH: Row = meaning("Downloading the route file", Preparing);
const HAND_OVER: Row = meaning("Sending the route file to the aircraft", Preparing);
const FLY: Row = meaning("Flying the route", Flying);
const START: Row = meaning("Starting, checking or recovering", Preparing);
const WAIT: Row = meaning("Waiting", Waiting);
const RETURN: Row = meaning("Returning home", Returning);
const FETCH_LOGS: Row = meaning("Fetching logs", Finishing);
const DONE: Row = meaning("Finished", Finishing);

fn row(family: StepFamily, step: i64) -> Option<&'static Row> {
    let column = match family {
        StepFamily::ThreeSteps => return three_steps(step),
        StepFamily::Ranges => return ranges(step),
        StepFamily::Shared => 0,
        StepFamily::Dock1 => 1,
        StepFamily::Dock2 => 2,
    };
    let step = u32::try_from(step).ok()?;
    ROWS.iter().find(|row| row.steps[column] == Some(step))
}

fn three_steps(step: i64) -> Option<&'static Row> {
    match step {
        1 => Some(&FETCH),
        2 => Some(&HAND_OVER),
        3 => Some(&FLY),
        _ => None,
    }
}

/// The page closes its ranges with "others", which are all that is above: none is below.
fn ranges(step: i64) -> Option<&'static Row> {
    match step {
        ..0 => None,
        0..=4 => Some(&START),
        5..=18 => Some(&WAIT),
        19..=20 => Some(&FLY),
        21..=29 => Some(&RETURN),
        30..=39 => Some(&FETCH_LOGS),
        40.. => Some(&DONE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::assert_text;
    use StepFamily::{Dock1, Dock2, Ranges, Shared, ThreeSteps};

    #[test]
    fn the_same_number_is_another_step_in_each_family() {
        assert_eq!(step_name(Shared, 23), Some("Landing on the dock"));
        assert_eq!(step_name(Dock1, 23), Some("Flying the route"));
        assert_eq!(step_name(Dock2, 23), Some("Setting the home point"));
        assert_eq!(step_name(Ranges, 23), Some("Returning home"));
        assert_eq!(step_name(ThreeSteps, 23), None);
        let phases = StepFamily::ALL.map(|family| phase(family, 23));
        let expected = [None, Some(Returning), Some(Returning), Some(Flying), Some(Preparing)];
        assert_eq!(phases, expected);
    }

    /// Documented numbers of each family: of `Dock2` with 25, which two of the pages leave out.
    fn documented(family: StepFamily) -> Vec<i64> {
        match family {
            ThreeSteps => (1..=3).collect(),
            Ranges => (0..=45).collect(),
            Shared => (0..=42).chain([65_533, 65_534, 1_048_575]).collect(),
            Dock1 => (0..=48).chain(65_533..=65_535).collect(),
            Dock2 => (0..=49).chain(65_533..=65_535).collect(),
        }
    }

    #[test]
    fn every_documented_number_has_a_name_and_no_other() {
        for family in StepFamily::ALL {
            let documented = documented(family);
            for step in (-3..=70_000).chain(1_048_500..=1_048_600) {
                let above_all = family == Ranges && step >= 40;
                let expected = above_all || documented.contains(&step);
                assert_eq!(step_name(family, step).is_some(), expected, "{family} {step}");
            }
            assert_eq!(step_name(family, i64::MIN), None);
        }
        for family in [ThreeSteps, Shared, Dock1, Dock2] {
            assert_eq!(step_name(family, i64::MAX), None);
            assert_eq!(phase(family, (1 << 32) + 1), None, "no number is cut to fit");
        }
    }

    #[test]
    fn no_number_stands_twice_in_a_family() {
        for column in 0..3 {
            let mut steps: Vec<_> = ROWS.iter().filter_map(|row| row.steps[column]).collect();
            let count = steps.len();
            steps.sort_unstable();
            steps.dedup();
            assert_eq!(steps.len(), count);
        }
        ROWS.iter().for_each(|row| assert_text(row.name));
    }

    /// After the insertions every family still tells one flight in one order.
    #[test]
    fn a_flight_goes_through_its_phases_in_order() {
        for (family, logs_end) in [(Shared, 42), (Dock1, 44), (Dock2, 45)] {
            let phases: Vec<_> = (6..=logs_end).filter_map(|step| phase(family, step)).collect();
            assert!(phases.is_sorted(), "{family}");
        }
        let flying = |family| (0..=49).filter(move |step| phase(family, *step) == Some(Flying));
        assert_eq!(flying(Shared).collect::<Vec<_>>(), [21]);
        assert_eq!(flying(Dock1).collect::<Vec<_>>(), [23]);
        assert_eq!(flying(Dock2).collect::<Vec<_>>(), [25]);
        assert_eq!(flying(Ranges).collect::<Vec<_>>(), [19, 20]);
    }

    #[test]
    fn steps_that_say_nothing_have_a_name_and_no_phase() {
        assert_eq!(step_name(Shared, 1_048_575), Some("Unknown"));
        assert_eq!(step_name(Dock1, 65_535), Some("Unknown"));
        assert_eq!(step_name(Dock2, 65_534), Some("No particular step"));
        assert_eq!(phase(Shared, 1_048_575), None);
        assert_eq!(phase(Dock2, 65_534), None);
        assert_eq!(phase(Dock1, 65_533), Some(Finishing));
    }

    #[test]
    fn phases_have_names_in_lower_case() {
        let names = [Waiting, Preparing, Flying, Returning, Finishing].map(Phase::as_str);
        assert_eq!(names, ["waiting", "preparing", "flying", "returning", "finishing"]);
    }
}
