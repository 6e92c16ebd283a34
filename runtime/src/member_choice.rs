//! Which checkpoints of every fold predict: all of them, so many, or some by name.

use std::num::NonZeroUsize;
use std::str::FromStr;

use nnunet::fold::{Member, spread};

use crate::model::{ModelError, ModelMember};

/// A choice among the members of a fold; the same for every fold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum MemberChoice {
    /// Every member.
    #[default]
    All,
    /// At most so many, spread evenly over the epochs, as the trainer's `export --members` takes them.
    Most(NonZeroUsize),
    /// The checkpoints of these epochs.
    Epochs(Vec<u32>),
}

impl MemberChoice {
    /// The chosen of one fold's members, in the order of their epochs.
    ///
    /// # Errors
    ///
    /// [`ModelError::NoMember`] if an epoch has no member.
    pub(crate) fn of(&self, members: &[ModelMember]) -> Result<Vec<ModelMember>, ModelError> {
        match self {
            Self::All => Ok(members.to_vec()),
            Self::Most(max) => {
                let positions: Vec<usize> = (0..members.len()).collect();
                Ok(spread(&positions, Some(*max)).into_iter().map(|i| members[i].clone()).collect())
            }
            Self::Epochs(epochs) => {
                let has = |epoch: u32| members.iter().any(|member| member.member.epoch == epoch);
                if let (Some(&epoch), Some(first)) = (epochs.iter().find(|&&epoch| !has(epoch)), members.first()) {
                    let member = Member { fold: first.member.fold, epoch };
                    let available = members.iter().map(|member| member.member).collect();
                    return Err(ModelError::NoMember { member, available });
                }
                Ok(members.iter().filter(|member| epochs.contains(&member.member.epoch)).cloned().collect())
            }
        }
    }
}

/// A text that chooses no members.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `all`, a number above 0, or names such as `checkpoint_19,checkpoint_29`")]
pub(crate) struct NoChoice;

impl FromStr for MemberChoice {
    type Err = NoChoice;

    fn from_str(text: &str) -> Result<Self, NoChoice> {
        if text == "all" {
            return Ok(Self::All);
        }
        if let Ok(max) = text.parse() {
            return Ok(Self::Most(max));
        }
        let epoch = |name: &str| {
            let epoch = name.strip_prefix("checkpoint_")?.parse().ok()?;
            // One checkpoint has one name.
            (name == format!("checkpoint_{epoch}")).then_some(epoch)
        };
        text.split(',').map(epoch).collect::<Option<_>>().map(Self::Epochs).ok_or(NoChoice)
    }
}

#[cfg(test)]
mod tests {
    use bundle_format::MemberId;
    use nnunet::fold::Fold;

    use super::*;

    /// The choice among six checkpoints.
    fn choose(choice: &str) -> Result<Vec<ModelMember>, ModelError> {
        let member = |epoch| {
            let member = Member { fold: Fold(1), epoch };
            ModelMember { member, id: MemberId::new(member.to_string()).unwrap() }
        };
        choice.parse::<MemberChoice>().unwrap().of(&[10, 11, 12, 13, 14, 15].map(member))
    }

    fn check(choice: &str, expected: &[u32]) {
        let chosen = choose(choice).unwrap();
        assert_eq!(chosen.iter().map(|member| member.member.epoch).collect::<Vec<_>>(), expected, "{choice}");
    }

    #[test]
    fn a_number_spreads_and_names_pick() {
        check("1", &[15]);
        check("3", &[11, 13, 15]);
        check("all", &[10, 11, 12, 13, 14, 15]);
        check("99", &[10, 11, 12, 13, 14, 15]);
        check("checkpoint_14,checkpoint_10", &[10, 14]);
    }

    #[test]
    fn a_checkpoint_that_a_fold_lacks_is_named_with_those_it_has() {
        let error = choose("checkpoint_10,checkpoint_9").unwrap_err().to_string();
        assert!(error.starts_with("the bundle has no `fold_1/checkpoint_9`, only fold_1/checkpoint_10, "), "{error}");
    }

    #[test]
    fn what_is_no_choice_is_refused() {
        for text in ["0", "-1", "", "checkpoint_", "checkpoint_01", "10,11", "checkpoint_1,", "fold_0/checkpoint_1"] {
            assert_eq!(text.parse::<MemberChoice>(), Err(NoChoice), "{text}");
        }
    }
}
