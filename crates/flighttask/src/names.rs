//! What DJI's numbers mean, in words for an operator: steps of a flight task, states and breaks of a
//! route, results, models.
//!
//! The sets are open: firmware is newer than any document. What is not documented has no name, and
//! whoever shows a name shows the number with it.
//!
//! The words are ours: DJI's own are longer than a line, and where two of its pages say it differently
//! the text is what both say.

mod break_reason;
mod family;
mod model;
mod result;
mod step;

pub use break_reason::break_reason_text;
pub use family::{StepFamily, UnknownFamily};
pub use model::{Model, family_of, model_name};
pub use result::result_text;
pub use step::{Phase, phase, step_name};

/// Numbers with their texts, in ascending order.
type Table = [(i64, &'static str)];

/// The text of a number, if the table has one.
fn text_in(table: &Table, number: i64) -> Option<&'static str> {
    let place = table.binary_search_by_key(&number, |(number, _)| *number).ok()?;
    table.get(place).map(|(_, text)| *text)
}

const MISSION_STATES: &Table = &[
    (0, "Not connected"),
    (1, "Waypoint not supported"),
    (2, "Ready for a route"),
    (3, "Route file on its way to the aircraft"),
    (4, "Starting"),
    (5, "Flying to the first waypoint"),
    (6, "Flying the route"),
    (7, "Interrupted"),
    (8, "Resuming"),
    (9, "Ended"),
];

/// What `wayline_mission_state` says of the route (DJI Cloud API, "Report mission progress").
///
/// State 9 is "completed" in some versions of that page and "stopped" in others: it does not tell
/// whether the whole route was flown.
#[must_use]
pub fn mission_state_name(state: i64) -> Option<&'static str> {
    text_in(MISSION_STATES, state)
}

/// What every table promises: it can be searched, and its texts fit where a line is wanted.
#[cfg(test)]
pub(crate) fn assert_table(table: &Table) {
    const CHARS_AT_MOST: usize = 90;

    assert!(!table.is_empty());
    for pair in table.windows(2) {
        assert!(pair[0].0 < pair[1].0, "{} does not belong before {}", pair[0].0, pair[1].0);
    }
    for (number, text) in table {
        assert_text(text);
        assert!(text.chars().count() <= CHARS_AT_MOST, "{number}: too long: {text}");
    }
}

#[cfg(test)]
pub(crate) fn assert_text(text: &str) {
    assert!(!text.is_empty() && text.trim() == text, "{text:?}");
    assert!(!text.ends_with('.'), "{text:?}");
    assert!(text.starts_with(|c: char| c.is_uppercase() || c.is_numeric()), "{text:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mission_states_are_those_of_the_document() {
        assert_table(MISSION_STATES);
        assert!((0..=9).all(|state| mission_state_name(state).is_some()));
        assert_eq!(mission_state_name(2), Some("Ready for a route"));
        assert_eq!(mission_state_name(6), Some("Flying the route"));
        for state in [-1, 10, i64::MIN, i64::MAX] {
            assert_eq!(mission_state_name(state), None);
        }
    }

    #[test]
    fn a_real_failure_of_a_dock_2_reads_as_what_it_was() {
        // Numbers of a public report: the task ended before the aircraft had left.
        let dock_2 = family_of(Model { domain: 3, kind: 2, sub_type: 0 }).unwrap();
        assert_eq!(step_name(dock_2, 35), Some("Reporting the result of the task"));
        assert_eq!(phase(dock_2, 35), Some(Phase::Finishing));
        assert_eq!(mission_state_name(2), Some("Ready for a route"));
        assert!(result_text(314004).is_some());
    }
}
