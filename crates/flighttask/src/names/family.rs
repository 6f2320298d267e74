//! Which of DJI's five ways to number the steps of a flight task a dock uses.

use std::fmt;
use std::str::FromStr;

/// A numbering of `current_step` (DJI Cloud API, "Report mission progress", in its versions).
///
/// DJI renumbered the steps with each insertion. So a number says nothing until it is known which
/// numbering it is of: 23 is the landing in one, the flight in another, and the home point in a third.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StepFamily {
    /// `three-steps`: Cloud API 1.1 to 1.3.1. Fetch the route, hand it to the aircraft, fly it.
    ThreeSteps,
    /// `ranges`: Cloud API 1.3.2 to 1.6. Only ranges of numbers have a meaning.
    Ranges,
    /// `shared`: Cloud API 1.7 to 1.11.1 for Dock, 1.8 to 1.11.0 for Dock 2. 43 steps, the same for both.
    Shared,
    /// `dock-1`: Dock since Cloud API 1.11.2. Checks of flight areas and maps came in.
    Dock1,
    /// `dock-2`: Dock 2 since Cloud API 1.11.1, and Dock 3. As for Dock, and tasks of two docks came in.
    Dock2,
}

impl StepFamily {
    /// Every family, the oldest first.
    pub const ALL: [Self; 5] =
        [Self::ThreeSteps, Self::Ranges, Self::Shared, Self::Dock1, Self::Dock2];

    /// Its name in a configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ThreeSteps => "three-steps",
            Self::Ranges => "ranges",
            Self::Shared => "shared",
            Self::Dock1 => "dock-1",
            Self::Dock2 => "dock-2",
        }
    }
}

impl fmt::Display for StepFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StepFamily {
    type Err = UnknownFamily;

    fn from_str(text: &str) -> Result<Self, UnknownFamily> {
        Self::ALL.into_iter().find(|family| family.as_str() == text).ok_or(UnknownFamily)
    }
}

/// The text names no [`StepFamily`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownFamily;

impl fmt::Display for UnknownFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such numbering of steps, there are")?;
        for (place, family) in StepFamily::ALL.into_iter().enumerate() {
            f.write_str(if place == 0 { " " } else { ", " })?;
            f.write_str(family.as_str())?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownFamily {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_read_back_from_its_name() {
        for family in StepFamily::ALL {
            assert_eq!(family.to_string().parse(), Ok(family));
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_names_there_are() {
        for text in ["", "dock-3", "Dock-1", " dock-1", "DOCK-2"] {
            assert_eq!(text.parse::<StepFamily>(), Err(UnknownFamily), "{text:?}");
        }
        let says = UnknownFamily.to_string();
        assert!(StepFamily::ALL.iter().all(|family| says.contains(family.as_str())), "{says}");
    }
}
