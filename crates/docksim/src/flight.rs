//! What a Dock 2 reports in the course of a task: status, step and percent, in order.

use crate::event::Progress;

/// A step of the task: its number and name (step numbers of a Dock 2 from Cloud API 1.11.1 on), the
/// percent it ends at, and how many events report it.
pub(crate) const STEPS: &[(u32, &str, u32, u32)] = &[
    (0, "initial state", 0, 1),
    (1, "pre-check", 2, 1),
    (5, "waiting for the task", 3, 1),
    (6, "dock enters work mode", 4, 1),
    (7, "power-on check, cover opens", 6, 2),
    (9, "flight system ready", 8, 1),
    (10, "waiting for RTK", 10, 2),
    (13, "flight control seized", 11, 1),
    (16, "fetching the wayline", 12, 1),
    (17, "downloading the wayline", 13, 1),
    (18, "wayline to the aircraft", 14, 1),
    (20, "takeoff parameters", 15, 1),
    (23, "home point", 16, 1),
    (24, "wayline triggered", 17, 1),
    (25, "wayline executing", 85, 12),
    (26, "return-home check", 87, 1),
    (27, "landing at the dock", 92, 2),
    (28, "cover closes", 95, 1),
    (29, "dock exits work mode", 97, 1),
    (35, "task result", 100, 1),
];

/// The step of the flight itself.
pub(crate) const EXECUTING: u32 = 25;
/// The step of a task's last event.
pub(crate) const RESULT: u32 = 35;

/// Every event of one flight, with the name of its step.
pub fn events() -> impl Iterator<Item = (&'static str, Progress<'static>)> {
    let mut from = 0;
    STEPS.iter().flat_map(move |&(step, name, to, count)| {
        let start = std::mem::replace(&mut from, to);
        (1..=count).map(move |n| {
            let last = step == RESULT;
            let progress = Progress {
                status: if last {
                    "ok"
                } else if step == 0 {
                    "sent"
                } else {
                    "in_progress"
                },
                step,
                percent: start + (to - start) * n / count,
                waypoint: if step < EXECUTING {
                    0
                } else if step == EXECUTING {
                    n
                } else {
                    12
                },
                mission_state: if last {
                    9
                } else if step >= EXECUTING {
                    6
                } else {
                    2
                },
                media_count: if last { 12 } else { 0 },
            };
            (name, progress)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flight_goes_from_sent_to_ok() {
        let all: Vec<_> = events().map(|(_, progress)| progress).collect();
        assert_eq!(all[0].status, "sent");
        assert_eq!(all.last().map(|p| (p.status, p.percent)), Some(("ok", 100)));
        assert!(all.windows(2).all(|w| w[0].percent <= w[1].percent && w[0].step <= w[1].step));
        assert!(all[1..all.len() - 1].iter().all(|p| p.status == "in_progress"));
        assert!(all[..all.len() - 1].iter().all(|p| p.media_count == 0), "only in the last");
    }
}
