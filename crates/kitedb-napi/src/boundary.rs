//! The functions that JavaScript calls. All that touches Node-API, and every `unsafe`, is here.
//!
//! The JavaScript side calls [`connect`] once in each of its threads, with a buffer, and gets one function for all operations.
//! It writes the arguments of a call into the buffer and finds the result there.

#![allow(unsafe_code)]

use crate::{
    fault::{self, Fault, Outcome, panicked},
    handles::Handles,
    ops::{Context, Job, OPS, Operation, RunJob, Selects, said},
    report::Report as _,
    waits::{Place, Waits, apart},
    wire::{Reader, Symbols, Writer},
};
use kitedb::{Error, ErrorCode, Progress, Watch};
use napi::{
    Env, Status, Task,
    bindgen_prelude::{AsyncTask, Buffer, Function, FunctionCallContext, Object, ToNapiValue, Uint8Array, Unknown},
    sys,
    threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode},
};
use napi_derive::napi;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::{
    cell::{Cell, RefCell},
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    rc::Rc,
    sync::{
        Arc, OnceLock,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    time::Duration,
};

/// Wakes the JavaScript side. It does not keep the process alive by itself: `keepAlive` of [`connect`] does.
type Wake = ThreadsafeFunction<(), (), (), Status, false, true>;

/// What happened elsewhere, for the JavaScript side to look at. However much happens at once, it is woken once.
#[derive(Default)]
pub struct Woken {
    news: Mutex<News>,
    wake: OnceLock<Wake>,
}

/// What the JavaScript side has not looked at.
#[derive(Default)]
struct News {
    /// Commits that may have ended.
    commits: Vec<u64>,
    /// Jobs that ended elsewhere than on a thread of the pool.
    jobs: Vec<u64>,
    /// How far the jobs are whose progress is asked for: the last word of each phase of each, in their order.
    progress: Vec<(u64, Progress)>,
    /// Whether it was woken, and has not come yet.
    woken: bool,
}

impl Woken {
    /// The commit with that number may have ended. Called from any thread.
    pub fn add(&self, commit: u64) {
        self.tell(|news| news.commits.push(commit));
    }

    /// The job with that number has ended.
    fn add_job(&self, job: u64) {
        self.tell(|news| news.jobs.push(job));
    }

    /// The commits that may have ended, and the jobs that have, since the last call.
    pub fn take(&self) -> (Vec<u64>, Vec<u64>) {
        let mut news = self.news.lock();
        news.woken = false;
        (std::mem::take(&mut news.commits), std::mem::take(&mut news.jobs))
    }

    /// How far jobs are, as far as that was told since the last call.
    pub fn take_progress(&self) -> Vec<(u64, Progress)> {
        std::mem::take(&mut self.news.lock().progress)
    }

    fn tell(&self, add: impl FnOnce(&mut News)) {
        let mut news = self.news.lock();
        add(&mut news);
        if !news.woken
            && let Some(wake) = self.wake.get()
        {
            news.woken = true;
            // Once the thread of JavaScript is gone nobody waits for it.
            wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }
}

/// What one thread of JavaScript has of the addon.
struct Instance {
    handles: Arc<Handles>,
    woken: Arc<Woken>,
    symbols: RefCell<Symbols>,
    selects: Selects,
    /// Where arguments come in and results go out.
    shared: RefCell<Uint8Array>,
    /// Of the last call, where it did not fit there.
    large: RefCell<Vec<u8>>,
    /// Kept from call to call.
    spare: RefCell<Vec<u8>>,
    /// What ends the jobs that are under way, by the numbers that JavaScript gave them.
    watches: RefCell<FxHashMap<u64, Watched>>,
    /// Where the results come of jobs that are not on threads of the pool, by the same numbers.
    awaited: RefCell<FxHashMap<u64, Receiver<Vec<u8>>>>,
    waits: Arc<Waits>,
    /// Nobody waits for jobs any more.
    ending: Cell<bool>,
}

/// What ends a job that is under way.
struct Watched {
    watch: Watch,
    end: Option<Box<dyn Fn()>>,
}

impl Watched {
    fn cancel(&self) {
        self.watch.cancel();
        if let Some(end) = &self.end {
            end();
        }
    }
}

impl Drop for Instance {
    /// The thread of JavaScript has ended: nobody waits for its jobs, and those that would keep a database open end now.
    fn drop(&mut self) {
        self.end();
    }
}

/// A result that did not fit the buffer: [`Instance::large`] has it.
const LARGE: i32 = -1;

/// Does a job to its end, wherever it is: a byte that says whether it failed, and the result or the error.
fn done(job: Outcome<RunJob>, watch: &Watch) -> Vec<u8> {
    let run = || {
        let mut w = Writer::new(vec![0], None);
        // It may have been ended while it stood in the queue.
        watch.require_uncancelled()?;
        job?(watch, &mut w)?;
        Ok(w.into_bytes()?)
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(panicked().into())).unwrap_or_else(failed)
}

/// The result of a job that failed.
fn failed(fault: Fault) -> Vec<u8> {
    let mut w = Writer::new(vec![1], None);
    fault::put(&fault, &mut w);
    w.into_bytes().unwrap_or_default()
}

impl Instance {
    /// Does an operation. Returns the length of its result in the shared buffer, or [`LARGE`]; below that, of its error.
    fn call(&self, op: u32, args: Option<&[u8]>, len: u32) -> i32 {
        let bytes = {
            let shared = self.shared.borrow();
            let args = args.unwrap_or_else(|| shared.get(..len as usize).unwrap_or_default());
            let run = || self.run(op, args);
            catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(panicked().into()))
        };
        match bytes {
            Ok(bytes) => {
                let len = self.put(&bytes);
                match len {
                    Some(len) => {
                        *self.spare.borrow_mut() = bytes;
                        len
                    }
                    None => {
                        *self.large.borrow_mut() = bytes;
                        LARGE
                    }
                }
            }
            Err(fault) => {
                let mut w = Writer::new(Vec::new(), None);
                fault::put(&fault, &mut w);
                let bytes = w.into_bytes().unwrap_or_default();
                let len = self.put(&bytes).unwrap_or_else(|| {
                    // It repeats an argument that is longer than the buffer.
                    *self.large.borrow_mut() = bytes;
                    0
                });
                LARGE - 1 - len
            }
        }
    }

    fn run(&self, op: u32, args: &[u8]) -> Outcome<Vec<u8>> {
        let mut bytes = self.spare.take();
        bytes.clear();
        let mut symbols = self.symbols.borrow_mut();
        let (mut reader, mut writer) = (Reader::new(args), Writer::new(bytes, Some(&mut symbols)));
        let context = Context { handles: &self.handles, woken: &self.woken, selects: &self.selects };
        match OPS.get(op as usize).map(|(_, operation)| operation) {
            Some(Operation::Quick(run)) => run(&context, &mut reader, &mut writer)?,
            Some(Operation::Blocking(prepare)) => {
                (prepare(&self.handles, &mut reader)?.run)(&Watch::default(), &mut writer)?
            }
            None => return Err(Error::new(ErrorCode::Internal, format_args!("no operation {op}")).into()),
        }
        Ok(writer.into_bytes()?)
    }

    fn put(&self, bytes: &[u8]) -> Option<i32> {
        let mut shared = self.shared.borrow_mut();
        // SAFETY: the buffer is this package's own, JavaScript has no other thread in which to read it meanwhile (it is no
        // SharedArrayBuffer), and no other reference into it is alive: arguments were read before.
        let room = unsafe { shared.as_mut() };
        room.get_mut(..bytes.len())?.copy_from_slice(bytes);
        i32::try_from(bytes.len()).ok()
    }

    /// What an operation is to do elsewhere; its arguments are read, and what it needs is in its hands.
    fn prepare(&self, op: u32, args: &[u8]) -> Outcome<Job> {
        match OPS.get(op as usize) {
            Some((_, Operation::Blocking(prepare))) => prepare(&self.handles, &mut Reader::new(args)),
            _ => Err(Error::new(ErrorCode::Internal, format_args!("operation {op} does not block")).into()),
        }
    }

    /// What ends the job with that number, and tells how far it is if that is `told`.
    fn watch(&self, number: u64, told: bool, end: Option<Box<dyn Fn()>>) -> Watch {
        let woken = self.woken.clone();
        let tell = move |_: &Watch, progress: Progress| {
            woken.tell(|news| {
                // One word for each phase, so that they stay few, and none is missed while the loop is busy.
                news.progress.retain(|(of, told): &(u64, Progress)| *of != number || told.phase != progress.phase);
                news.progress.push((number, progress));
            });
        };
        let watch = if told { Watch::new(tell) } else { Watch::silent() };
        let watched = Watched { watch: watch.clone(), end };
        if self.ending.get() {
            watched.cancel();
        }
        self.watches.borrow_mut().insert(number, watched);
        watch
    }

    /// Begins a job that the thread of JavaScript is going to wait for: elsewhere, so that it can be told to end meanwhile.
    fn begin(&self, op: u32, args: &[u8], number: u64) {
        let mut job = self.prepare(op, args);
        let end = job.as_mut().ok().and_then(|job| job.end.take());
        let (job, watch) = (job.map(|job| job.run), self.watch(number, false, end));
        let told = self.await_result(number);
        let here = told.clone();
        // Once nobody waits for it, what became of it is nobody's to know.
        if let Err(e) = apart(move || drop(told.send(done(job, &watch)))) {
            drop(here.send(failed(e.into())));
        }
    }

    /// Begins a job that may take for ever, and tells the JavaScript side once it has ended: that fetches the result then.
    fn begin_apart(&self, op: u32, args: &[u8], number: u64, told: bool) {
        let mut job = self.prepare(op, args);
        let end = job.as_mut().ok().and_then(|job| job.end.take());
        let wait = job.as_mut().ok().and_then(|job| job.wait.take());
        let watch = self.watch(number, told, end);
        let (result, woken) = (self.await_result(number), self.woken.clone());
        let ended = move |bytes| {
            drop(result.send(bytes));
            woken.add_job(number);
        };
        if let Some(wait) = wait {
            let told = move |outcome: Outcome<_>| {
                let put: RunJob = Box::new(move |_, w| {
                    said(outcome?).put(w);
                    Ok(())
                });
                ended(done(Ok(put), &Watch::silent()));
            };
            return self.waits.begin(number, wait, watch, Box::new(told));
        }
        let job = match job.map(|job| job.run) {
            Ok(job) => job,
            Err(fault) => return ended(failed(fault)),
        };
        let refused = ended.clone();
        let begun = Place::of_thread().and_then(|place| {
            apart(move || {
                let bytes = done(Ok(job), &watch);
                // Who is told may begin the next one.
                drop(place);
                ended(bytes);
            })
        });
        if let Err(e) = begun {
            refused(failed(e.into()));
        }
    }

    /// Where the result of that job goes.
    fn await_result(&self, number: u64) -> Sender<Vec<u8>> {
        let (told, result) = mpsc::channel();
        self.awaited.borrow_mut().insert(number, result);
        told
    }

    /// Ends the job with that number, if it is under way.
    fn cancel(&self, number: u64) {
        if let Some(watched) = self.watches.borrow().get(&number) {
            watched.cancel();
        }
        self.waits.look_again(number);
    }

    /// Waits for such a job for so many ms. `None`: it has not ended.
    fn result_of(&self, number: u64, ms: u32) -> napi::Result<Option<Buffer>> {
        let mut awaited = self.awaited.borrow_mut();
        let result = awaited.get(&number).map(|result| result.recv_timeout(Duration::from_millis(ms.into())));
        match result {
            Some(Err(RecvTimeoutError::Timeout)) => Ok(None),
            Some(Ok(bytes)) => {
                awaited.remove(&number);
                Ok(Some(bytes.into()))
            }
            Some(Err(RecvTimeoutError::Disconnected)) | None => Err(napi::Error::from_reason("nobody does this job")),
        }
    }

    /// Ends every job, and those that begin from now on.
    fn end(&self) {
        self.ending.set(true);
        self.watches.borrow().values().for_each(Watched::cancel);
        self.waits.look_again_at_all();
    }
}

/// A job on a thread of libuv's pool.
struct Run {
    job: Option<Outcome<RunJob>>,
    watch: Watch,
}

impl Task for Run {
    type Output = Vec<u8>;
    type JsValue = Buffer;

    fn compute(&mut self) -> napi::Result<Vec<u8>> {
        Ok(self.job.take().map(|job| done(job, &self.watch)).unwrap_or_default())
    }

    fn resolve(&mut self, _: Env, output: Vec<u8>) -> napi::Result<Buffer> {
        Ok(output.into())
    }
}

/// The numbers and names of the operations, and the functions that do them:
///
/// - `call(op, len)`, `callWith(op, bytes)`: with the arguments in the shared buffer, or in another one
/// - `large()`: the result that did not fit
/// - `start(op, bytes, number, told)`: a promise of the result, with its progress told
/// - `beginApart(op, bytes, number, told)`: begins a job that may take for ever, and wakes once it has ended
/// - `begin(op, bytes, number)`, `resultOf(number, ms)`: begins a job on a thread of its own; waits for its result, null: not yet
/// - `cancel(number)`, `forget(number)`: ends a job; what ends it is needed no more
/// - `end()`: ends all jobs, for the process does: Node waits for its pool before it does
/// - `keepAlive(yes)`: whether the process waits for commits
/// - `symbol(number)`, `list(number)`: the name with a number, the names of a list
#[napi(skip_typescript)]
pub fn connect<'e>(env: &'e Env, shared: Uint8Array, wake: Function<'e, (), ()>) -> napi::Result<Object<'e>> {
    let woken = Arc::new(Woken::default());
    let wake: Wake = wake.build_threadsafe_function().weak::<true>().build()?;
    let raw_wake = wake.raw();
    // It was made just now, so that nothing is there.
    let _ = woken.wake.set(wake);
    let instance = Rc::new(Instance {
        handles: Arc::default(),
        woken,
        symbols: RefCell::default(),
        selects: Selects::default(),
        shared: RefCell::new(shared),
        large: RefCell::default(),
        spare: RefCell::default(),
        watches: RefCell::default(),
        awaited: RefCell::default(),
        waits: Arc::default(),
        ending: Cell::default(),
    });
    let mut functions = Object::new(env)?;
    let mut ops = Object::new(env)?;
    for (number, (name, _)) in OPS.iter().enumerate() {
        ops.set(*name, number as u32)?;
    }
    functions.set("ops", ops)?;
    functions.set("call", raw_call(env, instance.clone())?)?;
    let of = instance.clone();
    set(&mut functions, env, "callWith", move |ctx| {
        let (op, args) = (ctx.get::<u32>(0)?, ctx.get::<Uint8Array>(1)?);
        Ok(of.call(op, Some(&args), 0))
    })?;
    let of = instance.clone();
    set(&mut functions, env, "large", move |_| Ok(Buffer::from(of.large.take())))?;
    let of = instance.clone();
    set(&mut functions, env, "start", move |ctx| {
        let (op, args) = (ctx.get::<u32>(0)?, ctx.get::<Uint8Array>(1)?);
        let (number, told) = (ctx.get::<f64>(2)? as u64, ctx.get::<bool>(3)?);
        let mut job = of.prepare(op, &args);
        let end = job.as_mut().ok().and_then(|job| job.end.take());
        start(ctx.env, job.map(|job| job.run), of.watch(number, told, end))
    })?;
    let of = instance.clone();
    set(&mut functions, env, "begin", move |ctx| {
        of.begin(ctx.get(0)?, &ctx.get::<Uint8Array>(1)?, ctx.get::<f64>(2)? as u64);
        Ok(())
    })?;
    let of = instance.clone();
    set(&mut functions, env, "beginApart", move |ctx| {
        of.begin_apart(ctx.get(0)?, &ctx.get::<Uint8Array>(1)?, ctx.get::<f64>(2)? as u64, ctx.get(3)?);
        Ok(())
    })?;
    let of = instance.clone();
    set(&mut functions, env, "resultOf", move |ctx| of.result_of(ctx.get::<f64>(0)? as u64, ctx.get(1)?))?;
    let of = instance.clone();
    set(&mut functions, env, "cancel", move |ctx| {
        of.cancel(ctx.get::<f64>(0)? as u64);
        Ok(())
    })?;
    let of = instance.clone();
    set(&mut functions, env, "end", move |_| {
        of.end();
        Ok(())
    })?;
    let of = instance.clone();
    set(&mut functions, env, "forget", move |ctx| {
        of.watches.borrow_mut().remove(&(ctx.get::<f64>(0)? as u64));
        Ok(())
    })?;
    let of = instance.clone();
    set(&mut functions, env, "symbol", move |ctx| Ok(of.symbols.borrow().name(ctx.get(0)?).map(str::to_owned)))?;
    let of = instance.clone();
    set(&mut functions, env, "list", move |ctx| {
        let symbols = of.symbols.borrow();
        Ok(symbols.list(ctx.get(0)?).map(|names| names.into_iter().map(str::to_owned).collect::<Vec<_>>()))
    })?;
    set(&mut functions, env, "keepAlive", move |ctx| {
        let env = ctx.env.raw();
        // SAFETY: the function was made by this environment, on this thread, and is freed with the instance that has it.
        let status = match ctx.get(0)? {
            true => unsafe { sys::napi_ref_threadsafe_function(env, raw_wake) },
            false => unsafe { sys::napi_unref_threadsafe_function(env, raw_wake) },
        };
        napi::check_status!(status)
    })?;
    Ok(functions)
}

fn set<R: ToNapiValue + 'static>(
    functions: &mut Object<'_>,
    env: &Env,
    name: &str,
    f: impl Fn(FunctionCallContext<'_>) -> napi::Result<R> + 'static,
) -> napi::Result<()> {
    functions.set(name, env.create_function_from_closure::<(), R, _>(name, f)?)
}

/// A value of the call that is under way.
struct Made(sys::napi_value);

impl ToNapiValue for Made {
    unsafe fn to_napi_value(_: sys::napi_env, value: Self) -> napi::Result<sys::napi_value> {
        Ok(value.0)
    }
}

fn start(env: &Env, job: Outcome<RunJob>, watch: Watch) -> napi::Result<Made> {
    let promise = AsyncTask::new(Run { job: Some(job), watch });
    // SAFETY: `env` is the environment of the call that is under way.
    unsafe { ToNapiValue::to_napi_value(env.raw(), promise) }.map(Made)
}

/// The function that does most operations, without what a wrapper around it would cost: a look-up in a graph takes less.
fn raw_call<'e>(env: &'e Env, instance: Rc<Instance>) -> napi::Result<Unknown<'e>> {
    let data = Rc::into_raw(instance).cast_mut().cast::<c_void>();
    let mut function = ptr::null_mut();
    // SAFETY: the name is static; `data` lives until the finalizer below takes it back, which runs once nobody can call the
    // function any more.
    unsafe {
        napi::check_status!(sys::napi_create_function(
            env.raw(),
            c"call".as_ptr(),
            4,
            Some(raw_called),
            data,
            &mut function
        ))?;
        napi::check_status!(sys::napi_add_finalizer(
            env.raw(),
            function,
            data,
            Some(raw_finalized),
            ptr::null_mut(),
            ptr::null_mut()
        ))?;
        Ok(Unknown::from_raw_unchecked(env.raw(), function))
    }
}

unsafe extern "C" fn raw_finalized(_: sys::napi_env, data: *mut c_void, _: *mut c_void) {
    // SAFETY: `raw_call` made it of an Rc, and this is called once.
    drop(unsafe { Rc::from_raw(data.cast::<Instance>()) });
}

unsafe extern "C" fn raw_called(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    let (mut count, mut args, mut data) = (2, [ptr::null_mut(); 2], ptr::null_mut());
    let (mut op, mut len, mut result) = (u32::MAX, 0, ptr::null_mut());
    // SAFETY: Node calls this with what belongs to the call; `data` is what `raw_call` gave it, alive as long as the function
    // is. Where an argument is missing or no number, `op` is no operation.
    unsafe {
        sys::napi_get_cb_info(env, info, &mut count, args.as_mut_ptr(), ptr::null_mut(), &mut data);
        sys::napi_get_value_uint32(env, args[0], &mut op);
        sys::napi_get_value_uint32(env, args[1], &mut len);
        let instance = &*data.cast::<Instance>();
        sys::napi_create_int32(env, instance.call(op, None, len), &mut result);
    }
    result
}
