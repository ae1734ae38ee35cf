//! How one node reaches the disks of all: paths begin with the number of a machine.

use kitedb_core::io::{Access, Disk, DiskFile, FileIdentity, OpenMode, sim::SimDisk};
use std::{
    collections::BTreeMap,
    io,
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex},
};

/// The database of node `at`.
pub fn path_of(at: usize) -> PathBuf {
    PathBuf::from(format!("/{at}/graph.kitedb"))
}

/// The log of node `at`.
pub fn sidecar_of(at: usize) -> PathBuf {
    PathBuf::from(format!("/{at}/graph.kitedb.replication"))
}

/// A node's handles to the disks of all machines: a process of its own on each, so that one route can be cut.
#[derive(Debug, Clone)]
pub struct Network {
    routes: Arc<Mutex<Vec<SimDisk>>>,
    /// The anchors on each machine. They outlive a route that is cut, as handles on a network file system do.
    anchors: BTreeMap<usize, SimDisk>,
}

impl Network {
    pub fn new(machines: &[SimDisk]) -> Self {
        let routes = machines.iter().map(SimDisk::process).collect();
        Self { routes: Arc::new(Mutex::new(routes)), anchors: BTreeMap::new() }
    }

    /// Ends the route to machine `to`: what was opened through it fails from now on.
    pub fn cut(&self, to: usize) {
        self.routes.lock().unwrap()[to].kill();
    }

    /// Begins another route to machine `to`, whose disk that is.
    pub fn connect(&self, to: usize, machine: &SimDisk) {
        self.routes.lock().unwrap()[to] = machine.process();
    }

    fn route(&self, path: &Path) -> io::Result<SimDisk> {
        let machine = machine_of(path)?;
        let route = self.routes.lock().unwrap().get(machine).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(self.anchors.get(&machine).map_or(route.clone(), |anchored| route.with_anchors_of(anchored)))
    }
}

fn machine_of(path: &Path) -> io::Result<usize> {
    let machine = path.components().find_map(|part| match part {
        Component::Normal(name) => name.to_str()?.parse::<usize>().ok(),
        _ => None,
    });
    machine.ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl Disk for Network {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.route(path)?.open(path, mode)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.route(path)?.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.route(from)?.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.route(from)?.rename_new(from, to)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.route(path)?.create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.route(path)?.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.route(path)?.sync_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.route(path)?.list(path)
    }

    fn identity(&self, path: &Path) -> io::Result<FileIdentity> {
        self.route(path)?.identity(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.route(path).is_ok_and(|disk| disk.is_dir(path))
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.route(path)?.resolve(path)
    }

    fn anchor(&self, folder: &Path, _like: Option<Access>) -> io::Result<Arc<dyn Disk>> {
        let mut anchored = self.clone();
        anchored.anchors.insert(machine_of(folder)?, self.route(folder)?.anchored(folder)?);
        Ok(Arc::new(anchored))
    }
}
