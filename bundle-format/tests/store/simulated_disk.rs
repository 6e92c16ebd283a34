//! A disk in memory that knows what would survive a loss of power.
//!
//! A file's content is safe after `sync` of the file, a name after `sync` of
//! its folder, and nothing else is: what was not synced may be there, may be
//! missing, or half there, each on its own and in any combination. Modes are
//! not kept: everything is its owner's to write and everybody's to read.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use bundle_format::store::FileSystem;

use crate::draw::Draw;

#[derive(Clone, Debug)]
enum Node {
    File { now: Vec<u8>, safe: Vec<u8> },
    Folder { now: BTreeMap<String, usize>, safe: BTreeMap<String, usize> },
}

/// A change of names that no `sync` has made safe.
#[derive(Clone, Debug)]
struct Pending {
    removed: Option<(usize, String)>,
    added: Option<(usize, String, usize)>,
}

/// What lies on the disk; cloning it is taking an image.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    nodes: Vec<Node>,
    pending: Vec<Pending>,
}

/// The disk, and the files outside of it that can be copied in.
#[derive(Clone, Debug)]
pub(crate) struct SimulatedDisk {
    image: Rc<RefCell<Image>>,
    locked: Rc<Cell<bool>>,
    outside: Rc<BTreeMap<PathBuf, Vec<u8>>>,
}

/// Frees the disk when it goes.
#[derive(Debug)]
pub(crate) struct Lock(Rc<Cell<bool>>);

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// What a loss of power does to what was not synced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// Power stays: only the process was killed.
    None,
    /// Everything is lost.
    AllLost,
    /// Everything is kept.
    AllKept,
    /// Each thing for itself, as this seed says.
    Random(u64),
}

impl SimulatedDisk {
    pub(crate) fn new(outside: BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let root = Node::Folder { now: BTreeMap::new(), safe: BTreeMap::new() };
        let image = Image { nodes: vec![root], pending: Vec::new() };
        Self { image: Rc::new(RefCell::new(image)), locked: Rc::default(), outside: Rc::new(outside) }
    }

    /// Another disk with this content, as it is found after `cut`; nobody has locked it.
    pub(crate) fn after(&self, cut: Cut) -> Self {
        let mut image = self.image.borrow().clone();
        let mut draw = match cut {
            Cut::Random(seed) => Draw::new(seed),
            _ => Draw::new(0),
        };
        let mut keeps = || match cut {
            Cut::None | Cut::AllKept => true,
            Cut::AllLost => false,
            Cut::Random(_) => draw.below(2) == 1,
        };
        if !matches!(cut, Cut::None) {
            for pending in std::mem::take(&mut image.pending) {
                if keeps() {
                    image.make_safe(&pending);
                }
            }
            for node in &mut image.nodes {
                match node {
                    Node::Folder { now, safe } => now.clone_from(safe),
                    Node::File { now, safe } => {
                        let content = if now == safe || keeps() {
                            now.clone()
                        } else if keeps() {
                            // What was safe and was not written over is not lost by an append.
                            let common = now.iter().zip(safe.iter()).take_while(|(now, safe)| now == safe).count();
                            now[..common + (now.len() - common) / 2].to_vec()
                        } else {
                            safe.clone()
                        };
                        (*now, *safe) = (content.clone(), content);
                    }
                }
            }
        }
        Self { image: Rc::new(RefCell::new(image)), locked: Rc::default(), outside: Rc::clone(&self.outside) }
    }

    /// The content of a file.
    pub(crate) fn content(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.image.borrow_mut().file(path).map(|(now, _)| now.clone())
    }

    /// Puts content into a file as somebody would who does not ask the store.
    pub(crate) fn tamper(&self, path: &Path, content: &[u8]) {
        self.write(path, content).unwrap();
        self.sync(path).unwrap();
    }

    fn change<T>(&self, change: impl FnOnce(&mut Image) -> io::Result<T>) -> io::Result<T> {
        change(&mut self.image.borrow_mut())
    }
}

impl Image {
    fn find(&self, path: &Path) -> Option<usize> {
        let mut at = 0;
        for component in path.components() {
            if let Component::Normal(name) = component {
                let Node::Folder { now, .. } = &self.nodes[at] else {
                    return None;
                };
                at = *now.get(name.to_str()?)?;
            }
        }
        Some(at)
    }

    fn parent(&self, path: &Path) -> io::Result<(usize, String)> {
        let parent = path.parent().and_then(|parent| self.find(parent)).ok_or(ErrorKind::NotFound)?;
        Ok((parent, path.file_name().unwrap().to_str().unwrap().to_owned()))
    }

    fn folder(&mut self, at: usize) -> io::Result<&mut BTreeMap<String, usize>> {
        match &mut self.nodes[at] {
            Node::Folder { now, .. } => Ok(now),
            Node::File { .. } => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn file(&mut self, path: &Path) -> io::Result<(&mut Vec<u8>, &mut Vec<u8>)> {
        let at = self.find(path).ok_or(ErrorKind::NotFound)?;
        match &mut self.nodes[at] {
            Node::File { now, safe } => Ok((now, safe)),
            Node::Folder { .. } => Err(ErrorKind::IsADirectory.into()),
        }
    }

    fn add(&mut self, path: &Path, node: Node) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        let at = self.nodes.len();
        self.nodes.push(node);
        self.folder(parent)?.insert(name.clone(), at);
        self.pending.push(Pending { removed: None, added: Some((parent, name, at)) });
        Ok(())
    }

    fn file_or_new(&mut self, path: &Path) -> io::Result<&mut Vec<u8>> {
        if self.find(path).is_none() {
            self.add(path, Node::File { now: Vec::new(), safe: Vec::new() })?;
        }
        Ok(self.file(path)?.0)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        self.folder(parent)?.remove(&name).ok_or(ErrorKind::NotFound)?;
        self.pending.push(Pending { removed: Some((parent, name)), added: None });
        Ok(())
    }

    fn make_safe(&mut self, pending: &Pending) {
        if let Some((parent, name)) = &pending.removed
            && let Node::Folder { safe, .. } = &mut self.nodes[*parent]
        {
            safe.remove(name);
        }
        if let Some((parent, name, node)) = &pending.added
            && let Node::Folder { safe, .. } = &mut self.nodes[*parent]
        {
            safe.insert(name.clone(), *node);
        }
    }
}

impl FileSystem for SimulatedDisk {
    type Lock = Lock;

    fn lock(&self, path: &Path) -> io::Result<Option<Self::Lock>> {
        self.change(|image| image.file_or_new(path).map(|_| ()))?;
        Ok((!self.locked.replace(true)).then(|| Lock(Rc::clone(&self.locked))))
    }

    fn lock_folder(&self, folder: &Path) -> io::Result<Self::Lock> {
        self.folder_mode(folder)?.ok_or(ErrorKind::NotADirectory)?;
        // Nobody is there to wait for: these tests have one thread.
        if self.locked.replace(true) { Err(ErrorKind::WouldBlock.into()) } else { Ok(Lock(Rc::clone(&self.locked))) }
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.change(|image| match image.find(path) {
            Some(at) => image.folder(at).map(|_| ()),
            None => image.add(path, Node::Folder { now: BTreeMap::new(), safe: BTreeMap::new() }),
        })
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.change(|image| {
            let at = image.find(folder).ok_or(ErrorKind::NotFound)?;
            Ok(image.folder(at)?.keys().cloned().collect())
        })
    }

    fn folder_mode(&self, path: &Path) -> io::Result<Option<u32>> {
        self.change(|image| {
            let at = image.find(path).ok_or(ErrorKind::NotFound)?;
            Ok(matches!(image.nodes[at], Node::Folder { .. }).then_some(0o755))
        })
    }

    fn size(&self, path: &Path) -> io::Result<Option<u64>> {
        self.change(|image| {
            Ok(image.find(path).map(|at| match &image.nodes[at] {
                Node::File { now, .. } => now.len() as u64,
                Node::Folder { .. } => 0,
            }))
        })
    }

    fn read(&self, path: &Path, offset: u64, n_bytes: usize) -> io::Result<Vec<u8>> {
        let content = self.content(path)?;
        Ok(content.into_iter().skip(usize::try_from(offset).unwrap()).take(n_bytes).collect())
    }

    fn read_regular(&self, path: &Path, n_bytes: usize) -> io::Result<Option<(Vec<u8>, u32)>> {
        if let Some(content) = self.outside.get(path) {
            return Ok(Some((content.clone(), 0o644)));
        }
        self.read(path, 0, n_bytes).map(|content| Some((content, 0o644)))
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.change(|image| {
            *image.file_or_new(path)? = content.to_vec();
            Ok(())
        })
    }

    fn append(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.change(|image| {
            image.file_or_new(path)?.extend_from_slice(content);
            Ok(())
        })
    }

    fn cut(&self, path: &Path, n_bytes: u64) -> io::Result<()> {
        self.change(|image| {
            image.file(path)?.0.resize(usize::try_from(n_bytes).unwrap(), 0);
            Ok(())
        })
    }

    fn set_mode(&self, path: &Path, _mode: u32) -> io::Result<()> {
        self.size(path)?.map(|_| ()).ok_or(ErrorKind::NotFound.into())
    }

    fn copy_in(&self, outside: &Path, path: &Path) -> io::Result<()> {
        let content = self.outside.get(outside).ok_or(ErrorKind::NotFound)?;
        self.write(path, content)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.change(|image| {
            let at = image.find(path).ok_or(ErrorKind::NotFound)?;
            if let Node::File { now, safe } = &mut image.nodes[at] {
                safe.clone_from(now);
            }
            let touches = |pending: &Pending| {
                let removed = pending.removed.as_ref().is_some_and(|(parent, _)| *parent == at);
                removed || pending.added.as_ref().is_some_and(|(parent, ..)| *parent == at)
            };
            let (safe, left) = std::mem::take(&mut image.pending).into_iter().partition::<Vec<_>, _>(touches);
            image.pending = left;
            for pending in &safe {
                image.make_safe(pending);
            }
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|image| {
            let at = image.find(from).ok_or(ErrorKind::NotFound)?;
            let (from, to) = (image.parent(from)?, image.parent(to)?);
            image.folder(from.0)?.remove(&from.1);
            image.folder(to.0)?.insert(to.1.clone(), at);
            image.pending.push(Pending { removed: Some(from), added: Some((to.0, to.1, at)) });
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change(|image| {
            image.file(path)?;
            image.remove(path)
        })
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.change(|image| {
            let at = image.find(path).ok_or(ErrorKind::NotFound)?;
            if image.folder(at)?.is_empty() { image.remove(path) } else { Err(ErrorKind::DirectoryNotEmpty.into()) }
        })
    }
}
