//! OpenGL: what egui wants drawn, drawn.

use std::sync::Arc;

use baseview::gl::GlContext;
use baseview::{HandlerError, WindowContext};
use egui::{ClippedPrimitive, TexturesDelta};
use egui_glow::Painter;
use egui_glow::glow::{self, HasContext};

/// Draws into the window that it was made for.
pub struct Canvas {
    context: GlContext,
    painter: Painter,
}

impl Canvas {
    /// For `window`, which was made with an OpenGL context.
    ///
    /// # Errors
    /// There is no context, or the driver is too old for egui's shaders.
    pub fn new(window: &WindowContext) -> Result<Self, HandlerError> {
        let context = window
            .gl_context()
            .ok_or_else(|| HandlerError::from_boxed("a window without OpenGL".into()))?;
        let painter = with(&context, |context| {
            // SAFETY: the context is current, and its functions are looked up in itself.
            let gl = unsafe {
                glow::Context::from_loader_function_cstr(|name| context.get_proc_address(name))
            };
            Painter::new(Arc::new(gl), "", None, true)
        })??;
        Ok(Self { context, painter })
    }

    /// The widest and highest texture that there may be.
    pub fn max_texture_side(&self) -> usize {
        self.painter.max_texture_side()
    }

    /// Draws a frame of `size` pixels and shows it.
    ///
    /// # Errors
    /// OpenGL fails.
    pub fn paint(
        &mut self,
        size: [u32; 2],
        pixels_per_point: f32,
        primitives: &[ClippedPrimitive],
        textures: &mut TexturesDelta,
    ) -> Result<(), HandlerError> {
        let painter = &mut self.painter;
        with(&self.context, |context| {
            // SAFETY: the context is current.
            unsafe {
                painter.gl().clear_color(0.0, 0.0, 0.0, 1.0);
                painter.gl().clear(glow::COLOR_BUFFER_BIT);
            }
            painter.paint_and_update_textures(size, pixels_per_point, primitives, textures);
            context.swap_buffers()
        })??;
        Ok(())
    }
}

impl Drop for Canvas {
    fn drop(&mut self) {
        let painter = &mut self.painter;
        // Where the context is gone, so is what was to be freed.
        let _ = with(&self.context, |_| painter.destroy());
    }
}

/// Does `work` while `context` is current. A host has contexts of its own on the same thread.
fn with<T>(context: &GlContext, work: impl FnOnce(&GlContext) -> T) -> Result<T, baseview::Error> {
    // SAFETY: it is made current on the window's thread only.
    unsafe { context.make_current()? };
    let done = work(context);
    // SAFETY: as above.
    unsafe { context.make_not_current()? };
    Ok(done)
}
