//! A plugin object as nice-plug makes it, with two functions of its table replaced: it also loads preset
//! files, and tells of a new latency only when that is allowed.
//!
//! nice-plug's other functions find their object through the table's `plugin_data`, which stays as it is.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use clap_sys::ext::preset_load::{
    CLAP_EXT_PRESET_LOAD, CLAP_EXT_PRESET_LOAD_COMPAT, clap_host_preset_load,
    clap_plugin_preset_load,
};
use clap_sys::ext::state::{CLAP_EXT_STATE, clap_plugin_state};
use clap_sys::factory::preset_discovery::CLAP_PRESET_DISCOVERY_LOCATION_FILE;
use clap_sys::host::clap_host;
use clap_sys::plugin::clap_plugin;
use clap_sys::stream::clap_istream;
use nice_plug::prelude::{ClapPlugin, Vst3Plugin};
use nice_plug::wrapper::clap::Wrapper;

use super::{discovery, text};
use crate::{Effect, Instrument, presets};

/// What differs between the two plugins.
pub trait Kind: ClapPlugin + Vst3Plugin {
    /// The functions that nice-plug put into its table: the same for all objects of this kind.
    fn table() -> &'static OnceLock<clap_plugin>;
}

impl Kind for Effect {
    fn table() -> &'static OnceLock<clap_plugin> {
        static TABLE: OnceLock<clap_plugin> = OnceLock::new();
        &TABLE
    }
}

impl Kind for Instrument {
    fn table() -> &'static OnceLock<clap_plugin> {
        static TABLE: OnceLock<clap_plugin> = OnceLock::new();
        &TABLE
    }
}

/// Which host an object belongs to, by the addresses of both.
static HOSTS: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

fn hosts() -> MutexGuard<'static, BTreeMap<usize, usize>> {
    HOSTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A new object, which `destroy` frees.
///
/// # Safety
/// `host` outlives the object.
pub unsafe fn create<P: Kind>(host: *const clap_host) -> *const clap_plugin {
    // SAFETY: as the caller says. nice-plug takes the reference back in its `destroy`.
    let wrapper = unsafe { &*Arc::into_raw(Wrapper::<P>::new(host)) };
    let plugin = wrapper.clap_plugin.as_ptr();
    hosts().insert(plugin as usize, host as usize);
    // SAFETY: nobody but this function knows the object yet.
    let plugin = unsafe { &mut *plugin };
    let _ = P::table().set(*plugin);
    plugin.get_extension = Some(get_extension::<P>);
    plugin.deactivate = Some(deactivate::<P>);
    plugin.destroy = Some(destroy::<P>);
    plugin
}

unsafe extern "C" fn destroy<P: Kind>(plugin: *const clap_plugin) {
    hosts().remove(&(plugin as usize));
    if let Some(destroy) = P::table().get().and_then(|table| table.destroy) {
        // SAFETY: the host's call, passed on.
        unsafe { destroy(plugin) };
    }
}

/// A new latency may be told in `activate` only. nice-plug sees to that, unless the host deactivates
/// before it has run what waits for the main thread: so that is run first. This is the main thread.
unsafe extern "C" fn deactivate<P: Kind>(plugin: *const clap_plugin) {
    let Some(table) = P::table().get() else { return };
    for function in [table.on_main_thread, table.deactivate].into_iter().flatten() {
        // SAFETY: the host's call, passed on.
        unsafe { function(plugin) };
    }
}

unsafe extern "C" fn get_extension<P: Kind>(
    plugin: *const clap_plugin,
    id: *const c_char,
) -> *const c_void {
    // SAFETY: the host gives a string, or null.
    let asked = unsafe { text(id) };
    if asked == Some(CLAP_EXT_PRESET_LOAD) || asked == Some(CLAP_EXT_PRESET_LOAD_COMPAT) {
        let extension: &'static clap_plugin_preset_load =
            &const { clap_plugin_preset_load { from_location: Some(from_location::<P>) } };
        return ptr::from_ref(extension).cast();
    }
    // SAFETY: the host's call, passed on.
    unsafe { extension::<P>(plugin, id) }
}

/// What nice-plug has under `id`.
unsafe fn extension<P: Kind>(plugin: *const clap_plugin, id: *const c_char) -> *const c_void {
    match P::table().get().and_then(|table| table.get_extension) {
        // SAFETY: the host's call, passed on.
        Some(get) if !id.is_null() => unsafe { get(plugin, id) },
        _ => ptr::null(),
    }
}

unsafe extern "C" fn from_location<P: Kind>(
    plugin: *const clap_plugin,
    kind: u32,
    location: *const c_char,
    key: *const c_char,
) -> bool {
    // SAFETY: the host gives a string, or null.
    let path = unsafe { text(location) }.filter(|_| kind == CLAP_PRESET_DISCOVERY_LOCATION_FILE);
    let file = path.and_then(discovery::path).and_then(|path| std::fs::read(path).ok());
    let error = match file.as_deref().map(presets::from_file) {
        None => Some(c"the preset can't be read"),
        Some(None) => Some(c"the file is no preset (.vstpreset)"),
        Some(Some((class_id, _))) if class_id != P::VST3_CLASS_ID => {
            Some(c"the preset is for another plugin")
        }
        // SAFETY: the object that the host called with.
        Some(Some((_, json))) if unsafe { load::<P>(plugin, json) } => None,
        Some(Some(_)) => Some(c"the preset does not load"),
    };
    let host = hosts().get(&(plugin as usize)).map(|host| *host as *const clap_host);
    // SAFETY: the host lives for as long as the object; this is the main thread.
    unsafe { tell(host, (kind, location, key), error) };
    error.is_none()
}

/// Tells the host what came of loading a preset, if it wants to know.
unsafe fn tell(
    host: Option<*const clap_host>,
    (kind, location, key): (u32, *const c_char, *const c_char),
    error: Option<&CStr>,
) {
    let Some(host) = host else { return };
    // SAFETY: as the caller says.
    unsafe {
        let Some(get) = (*host).get_extension else { return };
        let ids = [CLAP_EXT_PRESET_LOAD, CLAP_EXT_PRESET_LOAD_COMPAT];
        let found = ids.map(|id| get(host, id.as_ptr())).into_iter().find(|found| !found.is_null());
        let Some(listener) = found.map(|found| &*found.cast::<clap_host_preset_load>()) else {
            return;
        };
        match (error, listener.on_error, listener.loaded) {
            (Some(error), Some(on_error), _) => {
                on_error(host, kind, location, key, 0, error.as_ptr());
            }
            (None, _, Some(loaded)) => loaded(host, kind, location, key),
            _ => {}
        }
    }
}

/// Loads a preset's state as a host loads a saved one: what the preset does not name stays.
unsafe fn load<P: Kind>(plugin: *const clap_plugin, json: &[u8]) -> bool {
    // nice-plug's layout: the length, then JSON.
    let mut rest = (json.len() as u64).to_le_bytes().to_vec();
    rest.extend(json);
    let mut rest = rest.as_slice();
    let stream = clap_istream { ctx: (&raw mut rest).cast(), read: Some(read) };
    // SAFETY: nice-plug reads the stream during the call only.
    unsafe {
        let state = extension::<P>(plugin, CLAP_EXT_STATE.as_ptr()).cast::<clap_plugin_state>();
        match state.as_ref().and_then(|state| state.load) {
            Some(load) => load(plugin, &stream),
            None => false,
        }
    }
}

/// Reads from the slice that a stream of [`load`] stands for.
unsafe extern "C" fn read(stream: *const clap_istream, buffer: *mut c_void, size: u64) -> i64 {
    // SAFETY: `ctx` is the slice of `load`, and the caller's buffer has `size` bytes.
    unsafe {
        let rest = &mut *(*stream).ctx.cast::<&[u8]>();
        let (now, later) = rest.split_at(rest.len().min(size as usize));
        ptr::copy_nonoverlapping(now.as_ptr(), buffer.cast(), now.len());
        *rest = later;
        now.len() as i64
    }
}
