//! The extension module itself, against CPython's stable ABI, declared by hand.
//!
//! Functions take one `bytes` (or `int`) and give one `bytes` (or `int`): nothing here parses an
//! argument list, allocates, or keeps a reference.

use core::ffi::{c_char, c_int, c_long, c_void};
use core::ptr;

use super::plan::{Plan, Report};
use super::{child, contained, landlock, serve, sys};

#[repr(C)]
struct Object {
    references: isize,
    class: *mut c_void,
}

#[repr(C)]
struct Method {
    name: *const c_char,
    function: Option<unsafe extern "C" fn(*mut Object, *mut Object) -> *mut Object>,
    flags: c_int,
    doc: *const c_char,
}

#[repr(C)]
struct Definition {
    object: Object,
    init: *const c_void,
    index: isize,
    copy: *mut c_void,
    name: *const c_char,
    doc: *const c_char,
    size: isize,
    methods: *mut Method,
    slots: *mut c_void,
    traverse: *const c_void,
    clear: *const c_void,
    free: *const c_void,
}

unsafe extern "C" {
    fn PyErr_Clear();
    fn PyObject_CallNoArgs(callable: *mut Object) -> *mut Object;
    fn PyTuple_GetItem(tuple: *mut Object, at: isize) -> *mut Object;
    fn Py_DecRef(o: *mut Object);
    fn PyModule_Create2(definition: *mut Definition, version: c_int) -> *mut Object;
    fn PyBytes_AsStringAndSize(o: *mut Object, at: *mut *mut c_char, len: *mut isize) -> c_int;
    fn PyBytes_FromStringAndSize(at: *const c_char, len: isize) -> *mut Object;
    fn PyLong_AsLong(o: *mut Object) -> c_long;
    fn PyLong_FromLong(value: c_long) -> *mut Object;
}

/// One object as argument.
const METH_O: c_int = 8;
/// The version of the stable ABI that `PyModule_Create2` is told.
const ABI: c_int = 3;

/// The bytes of a Python `bytes`, which the caller's frame keeps alive for the call.
unsafe fn bytes<'a>(object: *mut Object) -> Option<&'a [u8]> {
    let (mut at, mut len) = (ptr::null_mut(), 0);
    // SAFETY: the interpreter passed a live object; on failure it sets an exception and we return.
    if unsafe { PyBytes_AsStringAndSize(object, &raw mut at, &raw mut len) } != 0 {
        return None;
    }
    // SAFETY: on success `at` is the start of `len` bytes that live as long as the object.
    Some(unsafe { core::slice::from_raw_parts(at.cast(), len as usize) })
}

/// `0`, or the errno, as a Python int.
fn errno(result: Result<(), i32>) -> *mut Object {
    // SAFETY: makes a new object; needs only the interpreter lock, which every method holds.
    unsafe { PyLong_FromLong(c_long::from(result.err().unwrap_or(0))) }
}

fn report(report: Report) -> *mut Object {
    let report = report.to_bytes();
    // SAFETY: copies `len` bytes from a live array.
    unsafe { PyBytes_FromStringAndSize(report.as_ptr().cast(), report.len() as isize) }
}

/// Takes Python's `fork` and a plan, as a pair; gives a child its report and its own directory.
unsafe extern "C" fn serve_children(_: *mut Object, pair: *mut Object) -> *mut Object {
    // SAFETY: `pair` is the live argument; what it holds lives as long, and is only borrowed.
    let (fork, plan) = unsafe { (PyTuple_GetItem(pair, 0), PyTuple_GetItem(pair, 1)) };
    if fork.is_null() || plan.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: as above.
    let Some(plan) = (unsafe { bytes(plan) }) else {
        return ptr::null_mut();
    };
    let Some(plan) = Plan::parse(plan) else {
        child::die()
    };
    let fork = || {
        // SAFETY: a live callable; what it gives is ours, and is let go of.
        let (pid, failed) = unsafe {
            let pid = PyObject_CallNoArgs(fork);
            if pid.is_null() {
                PyErr_Clear();
                return Err(sys::EAGAIN);
            }
            let value = PyLong_AsLong(pid);
            Py_DecRef(pid);
            (value as usize, value < 0)
        };
        if failed { Err(sys::EAGAIN) } else { Ok(pid) }
    };
    let (report, place) = serve::serve(&plan, fork);
    let mut said = [0; 21 + 512];
    let (head, rest) = said.split_at_mut(21);
    head.copy_from_slice(&report.to_bytes());
    let place = place.c().strip_suffix(b"\0").unwrap_or_default();
    rest[..place.len()].copy_from_slice(place);
    // SAFETY: copies that many bytes from a live array.
    unsafe { PyBytes_FromStringAndSize(said.as_ptr().cast(), (21 + place.len()) as isize) }
}

unsafe extern "C" fn contain(_: *mut Object, plan: *mut Object) -> *mut Object {
    // SAFETY: `plan` is the live argument and outlives the use of its bytes.
    let Some(plan) = (unsafe { bytes(plan) }) else {
        return ptr::null_mut();
    };
    report(contained::contain(plan))
}

unsafe extern "C" fn lower(_: *mut Object, limits: *mut Object) -> *mut Object {
    // SAFETY: `limits` is the live argument and outlives the use of its bytes.
    match unsafe { bytes(limits) } {
        Some(limits) => errno(child::lower(limits)),
        None => ptr::null_mut(),
    }
}

unsafe extern "C" fn seal(_: *mut Object, scratch: *mut Object) -> *mut Object {
    // SAFETY: `scratch` is the live argument and outlives the use of its bytes.
    match unsafe { bytes(scratch) } {
        Some(path) if path.ends_with(b"\0") => errno(landlock::seal(landlock::abi(), path)),
        Some(_) => errno(Err(sys::EINVAL)),
        None => ptr::null_mut(),
    }
}

unsafe extern "C" fn rest(_: *mut Object, _: *mut Object) -> *mut Object {
    child::rest()
}

const fn method(
    name: &'static [u8],
    function: unsafe extern "C" fn(*mut Object, *mut Object) -> *mut Object,
) -> Method {
    Method {
        name: name.as_ptr().cast(),
        function: Some(function),
        flags: METH_O,
        doc: ptr::null(),
    }
}

static mut METHODS: [Method; 6] = [
    method(b"serve\0", serve_children),
    method(b"contain\0", contain),
    method(b"lower\0", lower),
    method(b"seal\0", seal),
    method(b"rest\0", rest),
    Method {
        name: ptr::null(),
        function: None,
        flags: 0,
        doc: ptr::null(),
    },
];

static mut MODULE: Definition = Definition {
    object: Object {
        references: 1,
        class: ptr::null_mut(),
    },
    init: ptr::null(),
    index: 0,
    copy: ptr::null_mut(),
    name: c"handaxe_hook".as_ptr(),
    doc: ptr::null(),
    size: -1,
    methods: (&raw mut METHODS).cast(),
    slots: ptr::null_mut(),
    traverse: ptr::null(),
    clear: ptr::null(),
    free: ptr::null(),
};

/// Where CPython enters.
#[unsafe(no_mangle)]
unsafe extern "C" fn PyInit_handaxe_hook() -> *mut c_void {
    // SAFETY: the definition is static and is used by the interpreter alone, under its lock.
    unsafe { PyModule_Create2(&raw mut MODULE, ABI).cast() }
}
