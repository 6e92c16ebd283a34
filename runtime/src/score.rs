//! Uncertainty of cases whose probabilities another program has written, one folder per checkpoint.
//!
//! The members of a case are read one after the other, added to the sums and forgotten; while one is added, the next is
//! read. So a case takes the sums and two members' probabilities, however many members there are (and a byte a voxel of
//! each for pairwise Dice). Cases run beside each other.

pub(crate) mod checkpoints;
pub(crate) mod jobs;
mod member;
pub(crate) mod table;

use std::path::{Path, PathBuf};

use imaging::npz;
use ndarray::{Array4, Axis};
use nnunet::dataset::{LabelSet, Structure};
use nnunet::restore::OutputHead;
use nnunet::uncertainty::{Contours, Ensemble, Measure, UncertaintyMethod, UnnunetEnsemble, UnnunetError};

use checkpoints::MissingMember;
use member::MemberFileError;

/// Whose numbers scores are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Those of every other command.
    Design,
    /// UnnUNet's.
    Unnunet,
}

/// What is the same for every case.
#[derive(Debug)]
pub(crate) struct Scorer {
    /// Whose numbers.
    pub(crate) numbers: Numbers,
    /// How uncertainty is measured.
    pub(crate) methods: Vec<UncertaintyMethod>,
    /// What the outputs are; classes by their numbers if nobody says.
    pub(crate) labels: Option<LabelSet>,
    /// Axis of `[z, y, x]` across which contours lie.
    pub(crate) slicing_axis: Axis,
    /// Where maps go, if anywhere.
    pub(crate) maps: Option<PathBuf>,
}

/// A case, scored.
#[derive(Debug)]
pub(crate) struct Scored {
    /// Members that predicted it.
    pub(crate) n_members: usize,
    /// Names of its structures, in the order of their scores.
    pub(crate) structures: Vec<String>,
    /// Scores by every method, in the order asked for.
    pub(crate) scores: Vec<(UncertaintyMethod, nnunet::uncertainty::Scores)>,
}

impl Scorer {
    /// Scores a case from its members' files, at least one, and writes its maps.
    ///
    /// # Errors
    ///
    /// [`ScoreError`] naming the file at fault.
    pub(crate) fn score(&self, case: &str, files: &Result<Vec<PathBuf>, MissingMember>) -> Result<Scored, ScoreError> {
        let files = files.as_ref().map_err(|missing| ScoreError::Missing { source: missing.clone() })?;
        let [first, others @ ..] = files.as_slice() else { return Err(ScoreError::NoMember) };
        let probabilities = member::read(first)?;
        let labels = self.labels_of(&probabilities, first)?;
        let head = OutputHead::of(&labels);
        member::check(&probabilities, head, first)?;
        let sums = self.sums(probabilities, others, &labels)?;
        let measures = self.measures(&sums, &labels)?;
        if let Some(folder) = &self.maps {
            let maps = measures
                .iter()
                .filter_map(|(method, measure)| measure.map.as_ref().map(|map| (method.name(), map.view().into_dyn())));
            npz::write_all(&folder.join(format!("{case}.npz")), &maps.collect::<Vec<_>>())?;
        }
        Ok(Scored {
            n_members: files.len(),
            structures: labels.structures.into_iter().map(|structure| structure.name).collect(),
            scores: measures.into_iter().map(|(method, measure)| (method, measure.scores)).collect(),
        })
    }

    /// The data set's labels, if they have as many outputs as the file; else one structure for every class.
    fn labels_of(&self, probabilities: &Array4<f32>, path: &Path) -> Result<LabelSet, ScoreError> {
        let found = probabilities.dim().0;
        match &self.labels {
            Some(labels) if labels.n_outputs() == found => Ok(labels.clone()),
            Some(labels) => Err(ScoreError::Outputs { path: path.to_owned(), expected: labels.n_outputs(), found }),
            None if found < 2 => Err(ScoreError::OneClass { path: path.to_owned() }),
            None => Ok(numbered(found)),
        }
    }

    fn sums(&self, first: Array4<f32>, others: &[PathBuf], labels: &LabelSet) -> Result<Sums, ScoreError> {
        let head = OutputHead::of(labels);
        let expected = first.shape().to_vec();
        let read_next = |paths: &[PathBuf]| {
            let Some(path) = paths.first() else { return Ok(None) };
            let member = member::read(path)?;
            if member.shape() != expected {
                let (found, expected) = (member.shape().to_vec(), expected.clone());
                return Err(ScoreError::Shape { path: path.clone(), expected, found });
            }
            member::check(&member, head, path)?;
            Ok(Some(member))
        };
        let begin = || match self.numbers {
            Numbers::Design => Ok(Sums::Design(Ensemble::measured_by(&self.methods, &first, labels))),
            Numbers::Unnunet => UnnunetEnsemble::new(&first).map(Sums::Unnunet),
        };
        let (sums, next) = rayon::join(begin, || read_next(others));
        let (mut sums, mut next) = (sums?, next?);
        drop(first);
        let mut left = others;
        while let Some(member) = next {
            left = &left[1..];
            let ((), following) = rayon::join(|| sums.add(&member), || read_next(left));
            next = following?;
        }
        Ok(sums)
    }

    fn measures(&self, sums: &Sums, labels: &LabelSet) -> Result<Vec<(UncertaintyMethod, Measure)>, ScoreError> {
        let methods = self.methods.iter().copied();
        match sums {
            Sums::Design(ensemble) => {
                let contours = Contours::of(&ensemble.segmentation(labels), labels, self.slicing_axis);
                Ok(methods.map(|method| (method, ensemble.measure(method, &contours))).collect())
            }
            Sums::Unnunet(ensemble) => Ok(methods
                .map(|method| Ok((method, ensemble.measure(method)?)))
                .collect::<Result<_, UnnunetError>>()?),
        }
    }
}

/// What is left of the members of a case.
enum Sums {
    Design(Ensemble),
    Unnunet(UnnunetEnsemble),
}

impl Sums {
    fn add(&mut self, member: &Array4<f32>) {
        match self {
            Self::Design(ensemble) => ensemble.add(member),
            Self::Unnunet(ensemble) => ensemble.add(member),
        }
    }
}

/// Background and classes that are called by their numbers.
fn numbered(n_outputs: usize) -> LabelSet {
    let classes = (1..=u8::MAX).take(n_outputs.saturating_sub(1));
    let structures = classes.map(|class| Structure { name: class.to_string(), values: vec![class] }).collect();
    LabelSet { structures, ignore: None, regions_class_order: None }
}

/// Why a case has no scores.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ScoreError {
    /// A member's file cannot be used.
    #[error(transparent)]
    Member {
        /// Which and why.
        #[from]
        source: MemberFileError,
    },
    /// A member has no file of the case.
    #[error(transparent)]
    Missing {
        /// Which.
        source: MissingMember,
    },
    /// There is no member at all.
    #[error("no member predicted it")]
    NoMember,
    /// One output is no class beside background.
    #[error("`{}` has one class; probabilities of regions need `--dataset-json`", path.display())]
    OneClass {
        /// The file.
        path: PathBuf,
    },
    /// The data set has other labels.
    #[error("`{}` has {found} classes or regions, the data set's labels make {expected}", path.display())]
    Outputs {
        /// The file.
        path: PathBuf,
        /// Outputs of the data set.
        expected: usize,
        /// Outputs of the file.
        found: usize,
    },
    /// The members are of different shape.
    #[error("`{}` has shape {found:?}, the members before {expected:?} (class, z, y, x)", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Shape of the first member.
        expected: Vec<usize>,
        /// Shape of this one.
        found: Vec<usize>,
    },
    /// UnnUNet knows no such case.
    #[error(transparent)]
    Unnunet {
        /// Why.
        #[from]
        source: UnnunetError,
    },
    /// The maps cannot be written.
    #[error("the maps cannot be written")]
    Write {
        /// Why.
        #[from]
        source: std::io::Error,
    },
}
