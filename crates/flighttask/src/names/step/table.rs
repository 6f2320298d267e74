//! The steps of the three families that number single steps, side by side.

use super::Phase::{self, Finishing, Flying, Preparing, Returning, Waiting};

/// One thing that a dock does, with its number in each family that has it.
pub(super) struct Row {
    /// In `Shared`, in `Dock1`, in `Dock2`.
    pub(super) steps: [Option<u32>; 3],
    pub(super) name: &'static str,
    pub(super) phase: Option<Phase>,
}

const fn row(steps: [Option<u32>; 3], name: &'static str, phase: Phase) -> Row {
    Row { steps, name, phase: Some(phase) }
}

const fn without_phase(steps: [Option<u32>; 3], name: &'static str) -> Row {
    Row { steps, name, phase: None }
}

/// "Report mission progress" of Dock (versions 1.7 and 1.11.3) and of Dock 2 (1.11.3).
///
/// Files of flight areas and maps are updated between flights, for the next one: that is why these last
/// steps are of the preparation.
pub(super) const ROWS: &[Row] = &[
    row([Some(0), Some(0), Some(0)], "Initial state", Preparing),
    row([Some(1), Some(1), Some(1)], "Checking whether the aircraft flies a route", Preparing),
    row([Some(2), Some(2), Some(2)], "Checking whether the dock has left working mode", Preparing),
    row([Some(3), Some(3), Some(3)], "Checking: a route is being flown", Preparing),
    row([Some(4), Some(4), Some(4)], "Checking: the aircraft is returning", Preparing),
    row([Some(5), Some(5), Some(5)], "Waiting for a task", Waiting),
    row([Some(6), Some(6), Some(6)], "Dock entering working mode", Preparing),
    row([Some(7), Some(7), Some(7)], "Preparing power-on and opening of the cover", Preparing),
    row([None, None, Some(8)], "Pairing the radio link", Preparing),
    row([Some(8), Some(8), Some(9)], "Waiting for the flight system", Preparing),
    row([Some(9), Some(9), Some(10)], "Waiting for the RTK source to report", Preparing),
    row([Some(10), Some(10), Some(11)], "Checking that the dock is the RTK source", Preparing),
    row([Some(11), Some(11), Some(12)], "Waiting for word of flight control", Preparing),
    row([Some(12), Some(12), Some(13)], "Taking control of the aircraft", Preparing),
    row([None, Some(13), Some(14)], "Comparing the custom flight areas", Preparing),
    row([None, Some(14), Some(15)], "Comparing the offline maps", Preparing),
    row([Some(13), Some(15), Some(16)], "Asking for the address of the route file", Preparing),
    row([Some(14), Some(16), Some(17)], "Downloading the route file", Preparing),
    row([Some(15), Some(17), Some(18)], "Sending the route file to the aircraft", Preparing),
    row([Some(16), Some(18), Some(19)], "Setting the colours", Preparing),
    row(
        [Some(17), Some(19), Some(20)],
        "Setting height, colours and alternate landing site for take-off",
        Preparing,
    ),
    row([Some(18), Some(20), Some(21)], "Setting take-off for a flight to a point", Preparing),
    row([None, None, Some(22)], "Checking that the landing dock is ready", Preparing),
    row([Some(19), Some(21), Some(23)], "Setting the home point", Preparing),
    row([Some(20), Some(22), Some(24)], "Starting the route", Preparing),
    row([Some(21), Some(23), Some(25)], "Flying the route", Flying),
    row([Some(22), Some(24), Some(26)], "Preparing the checks for the return", Returning),
    row([Some(23), Some(25), Some(27)], "Landing on the dock", Returning),
    row([Some(24), Some(26), Some(28)], "Closing the cover after the landing", Finishing),
    row([Some(25), Some(27), Some(29)], "Dock leaving working mode", Finishing),
    row([Some(26), Some(28), Some(30)], "Dock recovering from a fault", Finishing),
    row([Some(27), Some(29), Some(31)], "Dock uploading logs of the flight system", Finishing),
    row([Some(28), Some(30), Some(32)], "Checking whether the camera records", Finishing),
    row([Some(29), Some(31), Some(33)], "Counting the media files", Finishing),
    row(
        [Some(30), Some(32), Some(34)],
        "Recovering from a fault of the cover at take-off",
        Finishing,
    ),
    row([Some(31), Some(33), Some(35)], "Reporting the result of the task", Finishing),
    row([Some(32), Some(34), None], "Deciding whether logs are fetched", Finishing),
    row([Some(33), Some(35), Some(36)], "Listing the aircraft's logs", Finishing),
    row([Some(34), Some(36), Some(37)], "Listing the dock's logs", Finishing),
    row([Some(35), Some(37), Some(38)], "Uploading the list of logs", Finishing),
    row([Some(36), Some(38), Some(39)], "Fetching the aircraft's logs", Finishing),
    row([Some(37), Some(39), Some(40)], "Fetching the dock's logs", Finishing),
    row([Some(38), Some(40), Some(41)], "Compressing the aircraft's logs", Finishing),
    row([Some(39), Some(41), Some(42)], "Compressing the dock's logs", Finishing),
    row([Some(40), Some(42), Some(43)], "Uploading the aircraft's logs", Finishing),
    row([Some(41), Some(43), Some(44)], "Uploading the dock's logs", Finishing),
    row([Some(42), Some(44), Some(45)], "Reporting the result of the logs", Finishing),
    row([None, Some(45), Some(46)], "Preparing an update of the custom flight areas", Preparing),
    row([None, Some(46), Some(47)], "Updating the custom flight areas", Preparing),
    row([None, Some(47), Some(48)], "Preparing an update of the offline maps", Preparing),
    row([None, Some(48), Some(49)], "Updating the offline maps", Preparing),
    row(
        [Some(65_533), Some(65_533), Some(65_533)],
        "Done, waiting for the cloud's response",
        Finishing,
    ),
    without_phase([Some(65_534), Some(65_534), Some(65_534)], "No particular step"),
    without_phase([None, Some(65_535), Some(65_535)], "Unknown"),
    without_phase([Some(1_048_575), None, None], "Unknown"),
];
