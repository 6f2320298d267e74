//! Why a route was broken off.

use super::{Table, text_in};

/// What `break_reason` of a break point says (DJI Cloud API, "Report mission progress" of Dock, Dock 2 and
/// Dock 3, up to 1.15). 0 is no break at all.
#[must_use]
pub fn break_reason_text(reason: i64) -> Option<&'static str> {
    text_in(TABLE, reason)
}

const TABLE: &Table = &[
    (0, "No fault"),
    (1, "There is no task of this id, no route was flown"),
    (2, "Rare fault"),
    (4, "The route file could not be loaded"),
    (5, "The break point could not be found or read"),
    (6, "A command was wrong, or the break point could not be read"),
    (7, "Reading the route file took too long"),
    (257, "A route is being flown already"),
    (258, "The route cannot be paused in this state, only while it is flown"),
    (259, "No route was started that could be ended"),
    (261, "No control of the aircraft: it is landing, returning or has another task"),
    (262, "The route cannot be resumed in this state, only while it is paused"),
    (513, "Above the greatest height allowed"),
    (514, "Beyond the greatest distance allowed"),
    (515, "The route crosses a restricted zone"),
    (516, "At the least height allowed"),
    (517, "An obstacle was sensed"),
    (518, "Poor RTK signal"),
    (519, "Near the border of a restricted zone"),
    (521, "Above the height allowed in the dock's zone"),
    (522, "Take-off for the route was refused"),
    (523, "Take-off failed"),
    (524, "The route was refused"),
    (526, "The RTK fix for the route was refused"),
    (527, "The RTK fix for the route failed"),
    (528, "Near the border of a custom flight area"),
    (529, "Obstacles or restricted zones make the route unreachable"),
    (769, "Weak GPS signal"),
    (770, "The remote control is not in N mode"),
    (771, "The home point was not updated"),
    (772, "The battery is too low to start"),
    (773, "The battery is low, the aircraft returns"),
    (775, "The remote control lost the aircraft"),
    (778, "The aircraft stands on the ground with turning propellers"),
    (779, "The cameras see too little for following the terrain"),
    (780, "The height above terrain is not within 30 to 200 m"),
    (781, "The map for following the terrain has a fault"),
    (784, "Strong wind, the aircraft returns"),
    (1281, "The user ended the route"),
    (1282, "The user interrupted the route"),
    (1283, "The user ordered the return"),
    (1539, "The start of the route is wrong: its waypoint or progress"),
    (1540, "Coordinate system not supported"),
    (1541, "Height mode not supported"),
    (1542, "Mode of flight to the route not supported"),
    (1543, "Yaw mode not supported"),
    (1544, "Direction of yaw not supported"),
    (1545, "Type of waypoint not supported"),
    (1546, "The first and last waypoint cannot be coordinated turns"),
    (1547, "The speed of the route is out of range"),
    (1548, "The number of waypoints is wrong"),
    (1549, "A latitude or longitude is wrong"),
    (1550, "The damping distance of a turn is wrong"),
    (1551, "The greatest speed of a segment is out of range"),
    (1552, "The target speed of a segment is out of range"),
    (1553, "The yaw angle of a waypoint is out of range"),
    (1555, "To resume: the mission id is wrong"),
    (1556, "To resume: the progress is wrong"),
    (1557, "To resume: the state of the mission is wrong"),
    (1558, "To resume: the index of the waypoint is wrong"),
    (1559, "To resume: the latitude or longitude is wrong"),
    (1560, "To resume: the yaw at a waypoint is wrong"),
    (1561, "To resume: a flag is wrong"),
    (1563, "The route could not be generated"),
    (1564, "The route could not be flown"),
    (1565, "Emergency stop before an obstacle"),
    (1588, "Unknown type of action"),
    (1595, "Two actions have the same id"),
    (1598, "An action has the id 65535, which is reserved"),
    (1602, "The number of action groups is out of range"),
    (1603, "The range of an action group is wrong"),
    (1606, "To resume: the index of an action is out of range"),
    (1608, "To resume: the state of a trigger is wrong"),
    (1609, "To resume: two action groups have the same id"),
    (1610, "To resume: two action groups have the same place"),
    (1611, "To resume: the place of an action group is out of range"),
    (1612, "To resume: the break point does not have the action"),
    (1613, "To resume: an action cannot be set to interrupted"),
    (1614, "To resume: the break point is wrong"),
    (1634, "Unknown type of action"),
    (1649, "Unknown type of trigger"),
    (65534, "Unknown fault"),
    (65535, "Unknown fault"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::assert_table;
    use std::ops::RangeInclusive;

    /// The reasons of the pages up to 1.15, as ranges without gaps.
    const DOCUMENTED: &[RangeInclusive<i64>] = &[
        0..=2,
        4..=7,
        257..=259,
        261..=262,
        513..=519,
        521..=524,
        526..=529,
        769..=773,
        775..=775,
        778..=781,
        784..=784,
        1281..=1283,
        1539..=1553,
        1555..=1561,
        1563..=1565,
        1588..=1588,
        1595..=1595,
        1598..=1598,
        1602..=1603,
        1606..=1606,
        1608..=1614,
        1634..=1634,
        1649..=1649,
        65534..=65535,
    ];

    #[test]
    fn every_documented_reason_has_a_text_and_no_other() {
        assert_table(TABLE);
        assert_eq!(TABLE.len(), 83);
        for reason in -3..=70_000 {
            let documented = DOCUMENTED.iter().any(|range| range.contains(&reason));
            assert_eq!(break_reason_text(reason).is_some(), documented, "{reason}");
        }
        assert_eq!(break_reason_text(i64::MIN), None);
        assert_eq!(break_reason_text(i64::MAX), None);
    }

    #[test]
    fn neighbours_are_not_mixed_up() {
        assert_eq!(break_reason_text(513), Some("Above the greatest height allowed"));
        assert_eq!(break_reason_text(516), Some("At the least height allowed"));
        assert_eq!(break_reason_text(773), Some("The battery is low, the aircraft returns"));
        assert_eq!(break_reason_text(1283), Some("The user ordered the return"));
    }
}
