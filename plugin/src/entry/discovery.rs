//! Preset discovery: a provider that tells of the preset files of both plugins, where they were installed.
//!
//! Note: CLAP also knows presets in the plugin itself, under keys, for which no file is needed. But
//! clap-validator 0.4.1 locks itself out at the second key (`begin_preset` holds what `flush_preset` takes).

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::ptr;

use clap_sys::factory::preset_discovery::{
    CLAP_PRESET_DISCOVERY_IS_FACTORY_CONTENT, CLAP_PRESET_DISCOVERY_LOCATION_FILE,
    clap_preset_discovery_factory, clap_preset_discovery_filetype, clap_preset_discovery_indexer,
    clap_preset_discovery_location, clap_preset_discovery_metadata_receiver,
    clap_preset_discovery_provider, clap_preset_discovery_provider_descriptor,
};
use clap_sys::universal_plugin_id::clap_universal_plugin_id;
use clap_sys::version::CLAP_VERSION;
use nice_plug::prelude::{ClapPlugin, Vst3Plugin};

use super::text;
use crate::{Effect, Instrument, presets, voices};

/// What a host that asks for preset discovery gets.
pub static FACTORY: clap_preset_discovery_factory = clap_preset_discovery_factory {
    count: Some(count),
    get_descriptor: Some(get_descriptor),
    create: Some(create),
};

static DESCRIPTOR: clap_preset_discovery_provider_descriptor =
    clap_preset_discovery_provider_descriptor {
        clap_version: CLAP_VERSION,
        id: c"vocoder.presets".as_ptr(),
        name: c"Vocoder's presets".as_ptr(),
        vendor: c"Vocoder".as_ptr(),
    };

/// A host's string as a path.
pub fn path(text: &CStr) -> Option<&Path> {
    text.to_str().ok().map(Path::new)
}

unsafe extern "C" fn count(_factory: *const clap_preset_discovery_factory) -> u32 {
    1
}

unsafe extern "C" fn get_descriptor(
    _factory: *const clap_preset_discovery_factory,
    index: u32,
) -> *const clap_preset_discovery_provider_descriptor {
    if index == 0 { &DESCRIPTOR } else { ptr::null() }
}

unsafe extern "C" fn create(
    _factory: *const clap_preset_discovery_factory,
    indexer: *const clap_preset_discovery_indexer,
    id: *const c_char,
) -> *const clap_preset_discovery_provider {
    // SAFETY: the host gives a string, or null; and ours is one.
    let is_ours = unsafe { text(id) == text(DESCRIPTOR.id) };
    if !is_ours || indexer.is_null() {
        return ptr::null();
    }
    Box::into_raw(Box::new(clap_preset_discovery_provider {
        desc: &DESCRIPTOR,
        provider_data: indexer.cast_mut().cast(),
        init: Some(init),
        destroy: Some(destroy),
        get_metadata: Some(get_metadata),
        get_extension: Some(get_extension),
    }))
}

unsafe extern "C" fn destroy(provider: *const clap_preset_discovery_provider) {
    if !provider.is_null() {
        // SAFETY: it comes from `create`, and the host gives it back once.
        drop(unsafe { Box::from_raw(provider.cast_mut()) });
    }
}

unsafe extern "C" fn init(provider: *const clap_preset_discovery_provider) -> bool {
    let filetype = clap_preset_discovery_filetype {
        name: c"VST3 preset".as_ptr(),
        description: ptr::null(),
        file_extension: c"vstpreset".as_ptr(),
    };
    // Where they were not installed there are none to be found.
    let folder = presets::folder().filter(|folder| folder.is_dir());
    let folder = folder.and_then(|folder| CString::new(folder.to_str()?).ok());
    // SAFETY: the provider is ours, and its indexer outlives it; what is pointed to lives until the calls
    // return.
    unsafe {
        let indexer = (*provider).provider_data.cast::<clap_preset_discovery_indexer>();
        let (Some(declare_filetype), Some(declare_location)) =
            ((*indexer).declare_filetype, (*indexer).declare_location)
        else {
            return false;
        };
        declare_filetype(indexer, &filetype)
            && folder.is_none_or(|folder| {
                let location = clap_preset_discovery_location {
                    flags: CLAP_PRESET_DISCOVERY_IS_FACTORY_CONTENT,
                    name: c"Vocoder".as_ptr(),
                    kind: CLAP_PRESET_DISCOVERY_LOCATION_FILE,
                    location: folder.as_ptr(),
                };
                declare_location(indexer, &location)
            })
    }
}

/// Tells `receiver` of the preset in a file; of another plugin's it tells nothing.
unsafe extern "C" fn get_metadata(
    _provider: *const clap_preset_discovery_provider,
    kind: u32,
    location: *const c_char,
    receiver: *const clap_preset_discovery_metadata_receiver,
) -> bool {
    // SAFETY: the host gives a string, or null.
    let path = unsafe { text(location) }.and_then(path);
    let path = path.filter(|_| kind == CLAP_PRESET_DISCOVERY_LOCATION_FILE && !receiver.is_null());
    let Some((path, file)) = path.and_then(|path| Some((path, std::fs::read(path).ok()?))) else {
        return false;
    };
    let id = match presets::from_file(&file) {
        Some((Effect::VST3_CLASS_ID, _)) => Effect::CLAP_ID,
        Some((Instrument::VST3_CLASS_ID, _)) => Instrument::CLAP_ID,
        _ => return true,
    };
    let (name, vendor) = (CString::new(voices::stem(path)), CString::new(presets::VENDOR));
    let (Ok(name), Ok(id), Ok(vendor)) = (name, CString::new(id), vendor) else { return false };
    let plugin = clap_universal_plugin_id { abi: c"clap".as_ptr(), id: id.as_ptr() };
    // SAFETY: the host's receiver, during the host's call; what is pointed to lives until the calls return.
    unsafe {
        let begin = (*receiver).begin_preset;
        if !begin.is_some_and(|begin| begin(receiver, name.as_ptr(), ptr::null())) {
            return false;
        }
        if let Some(add_plugin) = (*receiver).add_plugin_id {
            add_plugin(receiver, &plugin);
        }
        if let Some(add_creator) = (*receiver).add_creator {
            add_creator(receiver, vendor.as_ptr());
        }
    }
    true
}

unsafe extern "C" fn get_extension(
    _provider: *const clap_preset_discovery_provider,
    _id: *const c_char,
) -> *const c_void {
    ptr::null()
}
