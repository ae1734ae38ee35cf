//! Opening for writing: one engine per file.

use super::{
    engine::{Engine, OpenReport},
    file::require_one_name,
    options::{OpenOptions, ReplicationRole},
    place::{anchored, folder_of},
    places::LogPlaces,
    role::{foreign, mismatch, opening},
    writer_lock::open_for_writing,
};
use crate::{
    error::{Error, ErrorCode, Result},
    io::{Env, FileIdentity},
    store::{LogKind, Store, WRITER_LOCK},
};
use std::{path::PathBuf, sync::Arc};

impl Engine {
    /// The engine of the file `identity` at the resolved `path`, for writing. With `accept_moved`, also of a primary whose
    /// files are copies: its caller begins a new epoch at once.
    pub(crate) fn open_for_writing(
        env: Env,
        path: PathBuf,
        options: OpenOptions,
        identity: FileIdentity,
        accept_moved: bool,
    ) -> Result<Arc<Self>> {
        let store = open_for_writing(&env, &path, &options)?;
        let file = store.file().clone();
        let opened = Self::open_locked(env, path, options, identity, store, accept_moved);
        // Not left to the end of the open file: a process that is being started holds a copy of it for a while.
        opened.inspect_err(|_| drop(file.unlock(WRITER_LOCK..WRITER_LOCK + 1)))
    }

    fn open_locked(
        env: Env,
        path: PathBuf,
        options: OpenOptions,
        identity: FileIdentity,
        store: Store,
        accept_moved: bool,
    ) -> Result<Arc<Self>> {
        let io = |e| Error::io("look at", &path, e);
        require_one_name(&path, &options, &**store.file())?;
        let like = store.file().access().map_err(io)?;
        let env = anchored(&env, folder_of(&path), like).map_err(io)?;
        let found = env.disk.identity(&path).map_err(io)?;
        if store.file().identity().map_err(io)? != identity || found != identity {
            let what = format_args!("{} was replaced while it was being opened: open it again", path.display());
            return Err(Error::new(ErrorCode::Locked, what).with_path(&path));
        }
        let places = LogPlaces::of(&env, &path, &options, &store)?;
        let standing = places.standing(&env, &store)?;
        if let Some(left) = places.left.as_ref().filter(|_| options.role != Some(ReplicationRole::Replica)) {
            // What is committed beside it would take its numbers. Upholds I46.
            return Err(Error::new(ErrorCode::LogMismatch, &left.damage).with_path(left.place.dir()));
        }
        let (last, asked) = (places.last(&env, &store)?, options.role.unwrap_or_default());
        let opening =
            opening(options.role, standing, options.overwrite).ok_or_else(|| mismatch(&path, asked, standing, last))?;
        if opening.role == ReplicationRole::Primary && !accept_moved {
            places.require_own(&path, standing, &store.log_link())?;
        }
        let log_dir = places.dir_for(opening.role).to_owned();
        let report = OpenReport::default();
        let mut engine = Self::at_checkpoint(env, path, options, store, opening.role, log_dir, report)?;
        if opening.foreign {
            engine.replication.set_foreign(foreign(&engine.path, standing, last));
        }
        let recovered = engine
            .open_sidecar(&places, standing, accept_moved)
            .and_then(|()| engine.recover_for_writing(&places))
            .and_then(|()| engine.become_primary())
            // A sidecar that is made in the place of a missing one is named once something came of it.
            .and_then(|()| if engine.opened.made_for_nothing().is_some() { Ok(()) } else { engine.say_in_header() });
        if let Err(e) = recovered {
            engine.take_back_sidecar();
            if engine.store.log_link().kind != LogKind::Sidecar {
                engine.unmake_sidecar();
            }
            engine.unlock();
            return Err(e);
        }
        engine.have_log_witness();
        let engine = Arc::new(engine);
        engine.start_jobs();
        Ok(engine)
    }
}
