// Enough of CUDA to run `kernels.cu` on a CPU, slowly, so that machines without a GPU can test it: the
// threads of a block are fibers that take turns, fragments of matrices lie with each warp's first thread.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ucontext.h>
#include <vector>

#define __device__
#define __global__
#define __launch_bounds__(n)
#define SHARED(name) unsigned char *name = emulated::shared
typedef _Float16 half;
struct uint4 { uint32_t x, y, z, w; };
static inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }
struct Index { unsigned x, y; };
using std::min;

namespace emulated {
alignas(128) static unsigned char shared[232448];
static Index block, grid;
static unsigned thread;
struct Barrier { unsigned arrived = 0, passed = 0; };
static Barrier all, warps[8];
static ucontext_t scheduler, fibers[256];
static void (*body)(const void *);
static const void *argument;
static bool done[256];

static void wait(Barrier &barrier, unsigned count) {
    const unsigned before = barrier.passed;
    if (++barrier.arrived == count) {
        barrier.arrived = 0;
        barrier.passed++;
    } else {
        while (barrier.passed == before) {
            const unsigned self = thread;
            swapcontext(&fibers[self], &scheduler);
        }
    }
}
static void run() {
    const unsigned self = thread;
    body(argument);
    done[self] = true;
}
static void launch(void (*kernel)(const void *), const void *args, unsigned x, unsigned y) {
    static std::vector<std::vector<char>> stacks(256, std::vector<char>(128 << 10));
    body = kernel;
    argument = args;
    grid = {x, y};
    for (block.y = 0; block.y < y; block.y++)
        for (block.x = 0; block.x < x; block.x++) {
            memset(shared, 0xff, sizeof shared);
            for (unsigned i = 0; i < 256; i++) {
                done[i] = false;
                getcontext(&fibers[i]);
                fibers[i].uc_stack.ss_sp = stacks[i].data();
                fibers[i].uc_stack.ss_size = stacks[i].size();
                fibers[i].uc_link = &scheduler;
                makecontext(&fibers[i], run, 0);
            }
            for (bool busy = true; busy;) {
                busy = false;
                for (thread = 0; thread < 256; thread++)
                    if (!done[thread]) {
                        busy = true;
                        swapcontext(&scheduler, &fibers[thread]);
                    }
            }
        }
}
struct Thread { operator unsigned() const { return thread; } };
struct ThreadIndex { Thread x; };
static ThreadIndex thread_index;
} // namespace emulated

#define threadIdx emulated::thread_index
#define blockIdx emulated::block
#define gridDim emulated::grid
static void __syncthreads() { emulated::wait(emulated::all, 256); }
static void __syncwarp() { emulated::wait(emulated::warps[emulated::thread / 32], 32); }
static void atomicAdd(float *to, float v) { *to += v; }

namespace nvcuda { namespace wmma {
struct matrix_a; struct matrix_b; struct accumulator; struct row_major; struct col_major;
enum layout_t { mem_row_major };
template <class Use, int M, int N, int K, class T, class Layout = row_major> struct fragment {
    static const int num_elements = 256;
    float x[256];
};
template <class Layout> struct Columns { static const bool value = false; };
template <> struct Columns<col_major> { static const bool value = true; };
static inline bool leads() { return emulated::thread % 32 == 0; }
template <class F> static void fill_fragment(F &f, float v) { std::fill(f.x, f.x + 256, v); }
template <class U, class T, class L, class P>
static void load_matrix_sync(fragment<U, 16, 16, 16, T, L> &f, const P *from, unsigned stride) {
    __syncwarp();
    if (leads())
        for (int i = 0; i < 16; i++)
            for (int j = 0; j < 16; j++)
                f.x[i * 16 + j] = float(from[Columns<L>::value ? i + j * stride : i * stride + j]);
    __syncwarp();
}
template <class F> static void load_matrix_sync(F &f, const float *from, unsigned stride, layout_t) {
    load_matrix_sync(f, from, stride);
}
template <class F> static void store_matrix_sync(float *to, const F &f, unsigned stride, layout_t) {
    __syncwarp();
    if (leads())
        for (int i = 0; i < 256; i++) to[i / 16 * stride + i % 16] = f.x[i];
    __syncwarp();
}
template <class D, class A, class B> static void mma_sync(D &d, const A &a, const B &b, const D &) {
    if (!leads()) return;
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 16; k++)
            for (int j = 0; j < 16; j++) d.x[i * 16 + j] += a.x[i * 16 + k] * b.x[k * 16 + j];
}
}} // namespace nvcuda::wmma
