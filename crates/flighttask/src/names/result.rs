//! What went wrong, by the result of an event or of a command.

mod command;
mod device;
mod dock;
mod flight;
mod fly_to;
mod route;
mod task;

use super::{Table, text_in};

/// What `result` says (DJI Cloud API, "Error code", up to version 1.11.3, and the codes that older versions
/// of the page had and it left out). 0 is no error.
///
/// A code is six digits: where the error is from, two of the module, three of the error. Codes of DJI
/// Pilot (4 and 6) and of the health management system are not on that page and have no text here. The
/// advice to restart the dock or to try again later, which DJI gives with most of them, is left out.
#[must_use]
pub fn result_text(code: i64) -> Option<&'static str> {
    if code == 0 {
        return Some("No error");
    }
    text_in(table_of(code / 1000)?, code)
}

/// The table of a module: the first three digits of a code.
fn table_of(module: i64) -> Option<&'static Table> {
    match module {
        312 | 317 | 324 | 328 => Some(device::TABLE),
        314 | 315 => Some(task::TABLE),
        316 | 319 => Some(flight::TABLE),
        321 | 322 | 386 => Some(route::TABLE),
        325..=327 => Some(command::TABLE),
        336..=338 => Some(fly_to::TABLE),
        513 | 514 => Some(dock::TABLE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::assert_table;

    const TABLES: [&Table; 7] = [
        device::TABLE,
        task::TABLE,
        flight::TABLE,
        route::TABLE,
        command::TABLE,
        fly_to::TABLE,
        dock::TABLE,
    ];

    #[test]
    fn every_code_is_found_where_it_is_looked_for() {
        for table in TABLES {
            assert_table(table);
            for (code, text) in table {
                assert_eq!(result_text(*code), Some(*text), "{code}");
            }
        }
    }

    #[test]
    fn the_modules_have_as_many_codes_as_the_page() {
        let of = |module: i64| {
            let codes = TABLES.into_iter().flatten().map(|(code, _)| *code);
            codes.filter(|code| code / 1000 == module).count()
        };
        let expected = [
            (312, 10),
            (314, 25),
            (315, 36),
            (316, 48),
            (317, 7),
            (319, 40),
            (321, 31),
            (322, 5),
            (324, 10),
            (325, 11),
            (326, 13),
            (327, 69),
            (328, 2),
            (336, 15),
            (337, 16),
            (338, 23),
            (386, 1),
            (513, 15),
            (514, 68),
        ];
        for (module, count) in expected {
            assert_eq!(of(module), count, "{module}");
        }
        // 443 of the page of 1.11.3, and 314004 and 513001 of older ones.
        assert_eq!(TABLES.into_iter().flatten().count(), 443 + 2);
    }

    #[test]
    fn codes_of_a_real_failure_and_of_the_weather() {
        assert_eq!(result_text(0), Some("No error"));
        assert_eq!(result_text(314004), Some("The task could not be sent"));
        assert_eq!(result_text(514135), Some("The wind is too strong"));
        assert_eq!(result_text(319016), Some("The dock is running another task"));
    }

    #[test]
    fn what_is_not_documented_has_no_text() {
        for code in [1, -1, 314, 314004000, 314999, 313000, 411001, 999999, -314004] {
            assert_eq!(result_text(code), None, "{code}");
        }
        assert_eq!(result_text(i64::MIN), None);
        assert_eq!(result_text(i64::MAX), None);
    }
}
