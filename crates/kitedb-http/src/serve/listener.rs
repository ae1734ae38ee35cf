//! Where a server listens: a port, or a socket in the file system.

use super::ServeError;
use listenfd::ListenFd;
use rustix::fs::{Mode, chmod};
use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    os::unix::{
        fs::{FileTypeExt, MetadataExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

/// See the [module documentation](self).
#[derive(Debug)]
pub(super) enum Listener {
    Port(TcpListener),
    Socket(UnixListener),
}

/// Where that is, as it is told.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Port(SocketAddr),
    /// With the inode of the socket that was made there; `None`: somebody else made it.
    Socket(PathBuf, Option<(u64, u64)>),
}

impl Listener {
    /// At a port of a host.
    pub fn at_port(host: &str, port: u16) -> Result<(Self, Place), ServeError> {
        let failed = |source| ServeError::Listen { address: format!("{host}:{port}"), source };
        let listener = TcpListener::bind((host, port)).map_err(failed)?;
        let place = Place::Port(listener.local_addr().map_err(failed)?);
        listener.set_nonblocking(true).map_err(failed)?;
        Ok((Self::Port(listener), place))
    }

    /// At a socket that only this account reaches. One that is there, and at which nobody listens any more, is replaced; whatever else
    /// is there stays.
    pub fn at_socket(path: &Path) -> Result<(Self, Place), ServeError> {
        let failed = |source| ServeError::Listen { address: path.display().to_string(), source };
        kitedb_core::require_outside_logs(path).map_err(|e| failed(io::Error::new(io::ErrorKind::InvalidInput, e)))?;
        require_free(path).map_err(failed)?;
        // Made under another name in a folder of its own, so that nobody reaches it before its mode is set.
        let own = private_folder(path).map_err(failed)?;
        let bound = bind_privately(&own.join("socket"), path);
        let _ = fs::remove_dir_all(&own);
        let listener = bound.map_err(failed)?;
        let made = fs::symlink_metadata(path).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok((Self::Socket(listener), Place::Socket(path.to_owned(), Some((made.dev(), made.ino())))))
    }
}

fn require_free(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
        Ok(there) if !there.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket is there: name another place"))
        }
        Ok(_) => match UnixStream::connect(path) {
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(e) => Err(e),
            Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there")),
        },
    }
}

fn private_folder(path: &Path) -> io::Result<PathBuf> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let folder = path.with_file_name(name);
    fs::create_dir(&folder)?;
    chmod(&folder, Mode::RWXU)?;
    Ok(folder)
}

fn bind_privately(first: &Path, path: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(first)?;
    chmod(first, Mode::RUSR | Mode::WUSR)?;
    fs::rename(first, path)?;
    Ok(listener)
}

/// The socket that systemd made, and hands to the process that it starts; `None` where it did not.
pub(super) fn inherited() -> Result<Option<(Listener, Place)>, ServeError> {
    let failed = |source| ServeError::Listen { address: "the socket of LISTEN_FDS".to_owned(), source };
    let mut handed = ListenFd::from_env();
    if handed.len() == 0 {
        return Ok(None);
    }
    if handed.len() > 1 {
        let one = io::Error::new(io::ErrorKind::InvalidInput, "there are several: hand over one");
        return Err(failed(one));
    }
    if let Ok(Some(listener)) = handed.take_unix_listener(0) {
        let path = listener.local_addr().ok().and_then(|address| address.as_pathname().map(Path::to_owned));
        listener.set_nonblocking(true).map_err(failed)?;
        return Ok(Some((Listener::Socket(listener), Place::Socket(path.unwrap_or_default(), None))));
    }
    let Some(listener) = handed.take_tcp_listener(0).map_err(failed)? else { return Ok(None) };
    let place = Place::Port(listener.local_addr().map_err(failed)?);
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(Some((Listener::Port(listener), place)))
}

impl Place {
    /// Whether nobody reaches it from another machine.
    pub fn is_only_here(&self) -> bool {
        match self {
            Self::Port(address) => address.ip().to_canonical().is_loopback(),
            Self::Socket(..) => true,
        }
    }

    /// Whether it is a socket in the file system.
    pub fn is_socket(&self) -> bool {
        matches!(self, Self::Socket(..))
    }

    /// Takes a socket away that was made here, unless another one took its name.
    pub fn leave(&self) {
        if let Self::Socket(path, Some(made)) = self
            && fs::symlink_metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == *made)
        {
            let _ = fs::remove_file(path);
        }
    }

    /// How it is asked: `http://127.0.0.1:3000`, `unix:/run/kitedb.sock`.
    pub fn url(&self, tls: bool) -> String {
        let scheme = if tls { "https" } else { "http" };
        match self {
            Self::Port(address) => match address.ip() {
                ip if ip.is_unspecified() => format!("{scheme}://localhost:{}", address.port()),
                _ => format!("{scheme}://{address}"),
            },
            Self::Socket(path, _) => format!("unix:{}", path.display()),
        }
    }
}
