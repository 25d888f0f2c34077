//! The CLAP entry: nice-plug's plugins as they are, and what nice-plug 0.4 leaves out, presets that a
//! host's browser lists ([`discovery`]) and loads ([`instance`]).
//!
//! It stands where the macro `nice_export_clap` would: that one exports a `clap_entry` of its own, with
//! one factory.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::OnceLock;

use clap_sys::entry::clap_plugin_entry;
use clap_sys::factory::plugin_factory::{CLAP_PLUGIN_FACTORY_ID, clap_plugin_factory};
use clap_sys::factory::preset_discovery::{
    CLAP_PRESET_DISCOVERY_FACTORY_ID, CLAP_PRESET_DISCOVERY_FACTORY_ID_COMPAT,
};
use clap_sys::host::clap_host;
use clap_sys::plugin::{clap_plugin, clap_plugin_descriptor};
use clap_sys::version::CLAP_VERSION;
use nice_plug::wrapper::clap::PluginDescriptor;
use nice_plug::wrapper::setup_logger;

mod discovery;
mod instance;
#[cfg(test)]
mod tests;

use crate::{Effect, Instrument};

/// What a host looks for in the bundle.
#[allow(non_upper_case_globals)]
#[unsafe(no_mangle)]
#[used]
pub static clap_entry: clap_plugin_entry = clap_plugin_entry {
    clap_version: CLAP_VERSION,
    init: Some(init),
    deinit: Some(deinit),
    get_factory: Some(get_factory),
};

static PLUGINS: clap_plugin_factory = clap_plugin_factory {
    get_plugin_count: Some(plugin_count),
    get_plugin_descriptor: Some(plugin_descriptor),
    create_plugin: Some(create_plugin),
};

/// Of the effect, and of the instrument.
fn descriptors() -> &'static [PluginDescriptor; 2] {
    static DESCRIPTORS: OnceLock<[PluginDescriptor; 2]> = OnceLock::new();
    DESCRIPTORS.get_or_init(|| {
        [PluginDescriptor::for_plugin::<Effect>(), PluginDescriptor::for_plugin::<Instrument>()]
    })
}

unsafe extern "C" fn init(_path: *const c_char) -> bool {
    setup_logger::<Effect>();
    true
}

unsafe extern "C" fn deinit() {}

unsafe extern "C" fn get_factory(id: *const c_char) -> *const c_void {
    // SAFETY: the host gives a string, or null.
    match unsafe { text(id) } {
        Some(id) if id == CLAP_PLUGIN_FACTORY_ID => (&raw const PLUGINS).cast(),
        Some(id)
            if id == CLAP_PRESET_DISCOVERY_FACTORY_ID
                || id == CLAP_PRESET_DISCOVERY_FACTORY_ID_COMPAT =>
        {
            (&raw const discovery::FACTORY).cast()
        }
        _ => ptr::null(),
    }
}

unsafe extern "C" fn plugin_count(_factory: *const clap_plugin_factory) -> u32 {
    descriptors().len() as u32
}

unsafe extern "C" fn plugin_descriptor(
    _factory: *const clap_plugin_factory,
    index: u32,
) -> *const clap_plugin_descriptor {
    descriptors().get(index as usize).map_or(ptr::null(), |plugin| plugin.clap_plugin_descriptor())
}

unsafe extern "C" fn create_plugin(
    _factory: *const clap_plugin_factory,
    host: *const clap_host,
    id: *const c_char,
) -> *const clap_plugin {
    let [effect, instrument] = descriptors();
    // SAFETY: the host gives a string, or null; and itself, which outlives the plugin.
    unsafe {
        match text(id) {
            _ if host.is_null() => ptr::null(),
            Some(id) if id == effect.clap_id() => instance::create::<Effect>(host),
            Some(id) if id == instrument.clap_id() => instance::create::<Instrument>(host),
            _ => ptr::null(),
        }
    }
}

/// What a host's pointer to a string says.
///
/// # Safety
/// Null, or a string that lives for as long as the result is used.
unsafe fn text<'a>(string: *const c_char) -> Option<&'a CStr> {
    // SAFETY: as above.
    (!string.is_null()).then(|| unsafe { CStr::from_ptr(string) })
}
