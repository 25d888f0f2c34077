// The kernels of `kernels.cu` for a CPU, launched by name: see `emulated.h`.
#define EMULATED
#include "kernels.cu"

#define RUN(kernel)                                                                                   \
    if (!strcmp(name, #kernel)) {                                                                     \
        emulated::launch([](const void *a) { kernel(*(const Args *)a); }, args, x, y);                \
        return 0;                                                                                     \
    }

extern "C" int emulated_launch(const char *name, unsigned x, unsigned y, const void *args) {
    RUN(conv_tall_32)
    RUN(conv_tall_64)
    RUN(conv_middle_64)
    RUN(conv_flat_64)
    RUN(weight_gradient)
    RUN(collect)
    RUN(add_kept)
    RUN(widen)
    RUN(measure)
    RUN(unscale)
    RUN(zero)
    RUN(pack)
    return 1;
}
