/* SPDX-License-Identifier: Apache-2.0
 *
 * backend.h: what a device is to Ferrule. One sitting's reading for those who implement one; users
 * need ferrule.h only.
 *
 * A backend is a module with one exported function, fer_backend_open (type fer_backend_entry_fn).
 * It negotiates the ABI version and fills fer_backend_module: a name and tables of functions, one
 * table per level. Only level 0 (core) is required; a missing table, a NULL slot or a table shorter
 * than this header's gets the host's default when the module is registered. Both sides ignore
 * unknown table tails. Clone backends/null to begin.
 *
 * Objects of a backend are void pointers that only it understands: backend -> device -> exec ->
 * instance, and streams and events of a device. The host destroys children before parents, and
 * never uses an object after destroying it.
 *
 * Rules that hold for every slot, so that none repeats them:
 * - Slots return a fer_status. On failure they call host->fail once with a sentence (what, which
 * node, what to do), and set no out argument. They never print, exit, abort, throw or install a
 * signal handler.
 * - Unless a slot says otherwise it may be called from any thread, for different devices at once,
 * for one device by one thread at a time, and it may block. Slots marked [concurrent] may be called
 * by many threads for one object at once.
 * - Host memory comes from host->alloc, so that it is counted. A NULL from it is FER_OUT_OF_MEMORY.
 * - Out of device memory is FER_OUT_OF_MEMORY; a device that will not answer again is
 * FER_DEVICE_LOST. Loss latches: the host marks the device lost and from then on only destroys what
 * it holds there.
 * - Arrays and strings the host passes in are valid during the call only, except where noted.
 * Pointers are never NULL, except where noted and for arrays of no elements (weights, dim_values,
 * waits) and memory of no bytes.
 * - Structs begin with their size. One that ends before what this header has of it is refused with
 * INVALID_ARGUMENT (the module struct: VERSION) and nothing behind struct_size is read or written;
 * a longer one is of a newer host: what lies behind this header's is left alone, whatever it holds.
 * Out structs come zeroed with struct_size set, which stays.
 * - What can be seen to be wrong is refused before anything is done: an index beyond the count,
 * memory without an address or smaller than the dims need, more bytes than there are, dims beyond
 * their bounds, a handle type or kind that is not known, serialised bytes that were cut, changed or
 * made from another graph. After a refusal the object works as before; a stream that has failed is
 * destroyed.
 * - A failure needs no host->fail where it is only an answer (UNSUPPORTED, NOT_READY, what poll
 * said), where host->alloc gave NULL, which has told already, and in create with a struct that is
 * too short to find the host in. A slot that needs memory and gets none keeps nothing, and works
 * when it is called again.
 * - Several backends of one module may live at once, and one device may be open several times: they
 * share nothing that one could destroy for another. After loss the host opens the device anew,
 * beside what it still holds of the old opening.
 */
#ifndef FERRULE_BACKEND_H
#define FERRULE_BACKEND_H

#include "ferrule.h"
#include "op_numbers.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ABI versions this header describes. */
#define FER_BACKEND_ABI_MIN 1u
#define FER_BACKEND_ABI_MAX 1u

/* ---- the graph a backend is shown ---- */

/* A dim is a number, or known only at run time: then run's dim_values[slot] holds it, between min
 * and max and divisible by multiple. Only ops claimed with dynamic_dims are shown run-time dims. */
typedef struct fer_dim {
    int64_t value; /* >= 0, or -1: look up slot */
    uint32_t slot;
    uint32_t reserved;
    int64_t min;
    int64_t max; /* INT64_MAX: unbounded */
    int64_t multiple;
} fer_dim;

enum {
    FER_VALUE_INPUT = 1u << 0,
    FER_VALUE_OUTPUT = 1u << 1,
    FER_VALUE_CONSTANT = 1u << 2,
    FER_VALUE_HOST =
        1u << 3, /* input of at most 1,024 elements whose contents the host computes before the run:
                    the run's input has a host address even on devices with memory of their own */
    FER_VALUE_DATA_DEPENDENT =
        1u << 4 /* output whose dims the run reports in out_dims; buffers hold the upper bound */
};
typedef struct fer_value_view {
    uint32_t struct_size;
    uint32_t flags; /* FER_VALUE_... */
    fer_dtype dtype;
    uint32_t rank;
    const fer_dim *dims;
    const char *name;
    const void *data; /* constants: contents during op_supported, claim and compile, perhaps
                         unaligned; else NULL */
    uint64_t bytes;   /* constants: size of data */
} fer_value_view;

typedef struct fer_node_view {
    uint32_t struct_size;
    uint32_t op; /* FER_OP_... */
    uint32_t
        revision; /* lowest opset version with this node's meaning; refuse one you do not know */
    uint32_t input_count;
    uint32_t output_count;
    uint32_t attr_count;
    const uint32_t
        *inputs; /* indices into values, FER_NO_VALUE where an optional operand is left out */
    const uint32_t *outputs; /* same */
    const fer_attr *attrs;   /* only those present; absent ones have the op's default */
    const char *name;        /* source name, for messages */
    const char *op_name;
    double work; /* estimated operations */
} fer_node_view;

/* A connected piece of a graph in topological order. The views stay valid from compile until
 * exec_destroy for graphs passed to compile (constants' data excepted), and during the call
 * elsewhere. */
typedef struct fer_subgraph {
    uint32_t struct_size;
    uint32_t node_count;
    uint32_t value_count;
    uint32_t input_count;
    uint32_t output_count;
    uint32_t constant_count;
    uint32_t dim_slot_count;
    uint32_t reserved;
    const fer_node_view *const *nodes;
    const fer_value_view *const *values;
    const uint32_t *inputs;    /* indices into values: the run's inputs[i] */
    const uint32_t *outputs;   /* the run's outputs[i] */
    const uint32_t *constants; /* the run's weights[i] */
} fer_subgraph;

/* Answer to "can you run this node?". */
typedef struct fer_support {
    uint32_t struct_size;
    uint32_t supported;    /* 1 yes */
    uint32_t dynamic_dims; /* 1: also with dims known only at run time */
    uint32_t group;        /* claim only: nodes of one group want to be one region; 0 any */
    char reason[240];      /* when not supported: a clause, "f64 is not enabled on this device" */
} fer_support;

/* ---- memory and runs ---- */

/* A piece of memory: handle + offset on a device, or a host address. Memory with handle NULL is
 * plain host memory. */
typedef struct fer_mem {
    void *handle;
    uint64_t offset; /* bytes from the handle's start; already added into host */
    uint64_t bytes;
    void *host; /* where the host may read and write it, NULL if nowhere */
} fer_mem;

/* Ask whether to go on: every 65,536 inner operations at most. Not FER_OK: stop and return that
 * status as it is. */
typedef struct fer_poll {
    fer_status (*check)(void *self);
    void *self;
} fer_poll;

typedef struct fer_run_args {
    uint32_t struct_size;
    uint32_t dim_count;
    const int64_t *dim_values; /* dim_slot_count entries */
    uint64_t
        dims_id; /* nonzero; equal ids are equal dim_values, for caching what follows from them */
    const fer_mem *inputs;
    const fer_mem *outputs;
    const fer_mem
        *weights; /* in the layout weight_layout asked for; the same in every run of an instance */
    fer_mem
        workspace; /* of workspace_bytes(exec, dim_values); the contents do not survive the run */
    int64_t (*out_dims)[FER_MAX_RANK]; /* [output_count]: written for FER_VALUE_DATA_DEPENDENT
                                          outputs only */
    const fer_poll *poll;              /* never NULL */
    void *const *waits; /* events of this device that must be done before the run starts */
    uint32_t wait_count;
    uint32_t reserved;
    void *stream;      /* the instance's stream, NULL without the async level */
    void **out_signal; /* NULL (only where stream is): return when done. Else: may return at once
                          and set an event that is done with the run, or set NULL when the run is
                          done already */
} fer_run_args;

/* ---- what the host offers ---- */

/* One buffer's life for plan_memory: from step first to step last, both inclusive. */
typedef struct fer_lifetime {
    uint64_t bytes;
    uint32_t first;
    uint32_t last;
} fer_lifetime;

/* Valid from create until after destroy. Every function may be called from any thread. */
typedef struct fer_host {
    uint32_t struct_size;
    uint32_t abi_version;
    void *self; /* first argument of every function here */
    void *(*alloc)(void *self, size_t bytes, size_t alignment);
    void (*free)(void *self, void *memory, size_t bytes, size_t alignment);
    void (*log)(void *self, int32_t level, const char *message);
    /* Records the thread's error and returns status. node may be NULL. Strings are copied. */
    fer_status (*fail)(
        void *self, fer_status status, int32_t native_code, const char *node, const char *message);
    /* Calls body over [0, count) in pieces of at least grain, on the calling thread and perhaps
     * others; returns when all are done. body must not call parallel_for. */
    void (*parallel_for)(void *self,
                         uint64_t count,
                         uint64_t grain,
                         void (*body)(void *argument, uint64_t begin, uint64_t end),
                         void *argument);
    /* Offsets (multiples of alignment) for buffers, such that no two that live at the same step
     * overlap, and the bytes needed. Pure. */
    fer_status (*plan_memory)(void *self,
                              const fer_lifetime *lifetimes,
                              uint32_t count,
                              uint64_t alignment,
                              uint64_t *out_offsets,
                              uint64_t *out_bytes);
    /* Says that a device (index of device_open), or with UINT32_MAX all of them, is lost. */
    void (*lost)(void *self, uint32_t device_index, const char *reason);
    /* Runs of elements [index, index + count) of packed, perhaps unaligned memory, converted to and
     * from one compute type. Floats go through double (store rounds to nearest even, a tie of
     * f8e8m0 up; overflow gives infinity, or NaN where there is none; in float8 dtypes the largest
     * finite value when saturate is not 0, in f4e2m1 always); integers and bool through int64_t
     * (u64 as its bits; store wraps). Each takes the other's dtypes too: a double becomes the
     * nearest integer toward zero, clamped, NaN 0 (bool: not 0), a float loaded as int64_t
     * likewise. Not for strings and complex, which load as zeros and store nothing. */
    void (*load_f64)(
        fer_dtype dtype, const void *data, uint64_t index, uint64_t count, double *out);
    void (*store_f64)(fer_dtype dtype,
                      void *data,
                      uint64_t index,
                      uint64_t count,
                      const double *values,
                      int32_t saturate);
    void (*load_i64)(
        fer_dtype dtype, const void *data, uint64_t index, uint64_t count, int64_t *out);
    void (*store_i64)(
        fer_dtype dtype, void *data, uint64_t index, uint64_t count, const int64_t *values);
    uint64_t (*clock_ns)(void *self); /* CLOCK_MONOTONIC */
    /* Spans for the profiler; name must be a literal. */
    uint64_t (*span_begin)(void *self, const char *name);
    void (*span_end)(void *self, uint64_t span);
} fer_host;

struct fer_backend_module;
typedef struct fer_create_args {
    uint32_t struct_size;
    uint32_t reserved;
    const fer_host *host;
    const char
        *options; /* the manifest's options line, "" if none. A wrapper gives its inner module
                     "", which then gets that of its own manifest. */
    const struct fer_backend_module
        *inner; /* wrappers: the complete (defaults filled) module they wrap */
    const struct fer_backend_module
        *reference; /* wrappers: the reference backend, complete; NULL where it is not built */
} fer_create_args;

/* ---- level 0: core, a whole backend in eleven slots ---- */

enum {
    FER_DEVICE_HOST_MEMORY =
        1u << 0, /* the device computes in plain host memory: no copies, no alloc needed */
    FER_DEVICE_NEVER_DEFAULT = 1u << 1 /* only used when named: test devices, wrappers */
};
typedef struct fer_backend_device_info {
    uint32_t struct_size;
    int32_t type;   /* FER_DEVICE_CPU, ... */
    uint32_t flags; /* FER_DEVICE_HOST_MEMORY, ... */
    int32_t
        preference; /* default order: higher first; ref is 0, a CPU about 100, a GPU about 200 */
    uint32_t const_alignment;  /* bytes a constant's address must be a multiple of; 0 or 1: any */
    uint32_t buffer_alignment; /* same for all other buffers; 0: 64 */
    uint64_t memory_bytes;     /* 0 unknown */
    char chip[96];
    char note[160];
    char chip_id[48]; /* PCI address or UUID */
} fer_backend_device_info;

/* An op the backend claims up to a revision. Nodes outside the list are refused without asking. */
typedef struct fer_op_claim {
    uint32_t op;       /* FER_OP_... */
    uint32_t revision; /* highest opset version known */
} fer_op_claim;

typedef struct fer_backend_core {
    uint32_t struct_size;
    uint32_t reserved;
    /* Makes the backend. self is the module's. Touches no driver. */
    fer_status (*create)(void *self, const fer_create_args *args, void **out_backend);
    void (*destroy)(void *backend);
    /* First touch of the driver. No device, or no driver, is a count of 0, with the reason logged.
     */
    fer_status (*device_count)(void *backend, uint32_t *out_count);
    fer_status (*device_info)(void *backend, uint32_t index, fer_backend_device_info *out_info);
    fer_status (*device_open)(void *backend, uint32_t index, void **out_device);
    /* Waits for what runs there, as far as the device still answers. */
    void (*device_close)(void *device);
    /* [concurrent] Fills out_support, zeroed with struct_size set, for node index of the graph.
     * Fails only for reasons other than "no", such as loss. */
    fer_status (*op_supported)(void *device,
                               const fer_subgraph *graph,
                               uint32_t node,
                               fer_support *out_support);
    /* [concurrent] Compiles a graph whose nodes were all supported. */
    fer_status (*compile)(void *device, const fer_subgraph *graph, void **out_exec);
    void (*exec_destroy)(void *device, void *exec);
    /* [concurrent] Bytes of workspace one run needs. */
    fer_status (*workspace_bytes)(void *device,
                                  void *exec,
                                  const int64_t *dim_values,
                                  uint64_t *out_bytes);
    /* Runs to completion. The host serialises runs of one exec. Works also where the instances
     * level is there, for hosts that do not know it. */
    fer_status (*run)(void *device, void *exec, const fer_run_args *args);
    /* [optional] The ops claimed, a static list; count 0: ask op_supported about everything. */
    fer_status (*op_claims)(void *device, const fer_op_claim **out_claims, uint32_t *out_count);
} fer_backend_core;

/* ---- instances: several runs of one exec at a time ---- */

typedef struct fer_instance_args {
    uint32_t struct_size;
    uint32_t reserved;
    const fer_mem *weights; /* constant_count entries, valid as long as the instance */
    void *stream;           /* where it will run, NULL without the async level */
} fer_instance_args;

/* Default: the instance is the exec, run by core.run under a lock. */
typedef struct fer_backend_instances {
    uint32_t struct_size;
    uint32_t reserved;
    /* [concurrent] exec is immutable; an instance holds all that a run changes, and runs once at a
     * time. */
    fer_status (*instance_create)(void *device,
                                  void *exec,
                                  const fer_instance_args *args,
                                  void **out_instance);
    void (*instance_destroy)(void *device, void *instance);
    /* [concurrent for different instances] */
    fer_status (*run)(void *device, void *instance, const fer_run_args *args);
} fer_backend_instances;

/* ---- memory: a device with memory of its own ---- */

enum { FER_MEM_DEVICE = 0, FER_MEM_STAGING = 1 /* host-visible, for fast copies */ };

/* Default: host memory. All slots [concurrent]. */
typedef struct fer_backend_memory {
    uint32_t struct_size;
    uint32_t reserved;
    /* alignment is a power of two, 4096 at most or what device_info asks for. No bytes are memory
     * too. */
    fer_status (*alloc)(
        void *device, uint64_t bytes, uint64_t alignment, int32_t kind, fer_mem *out_mem);
    void (*free)(void *device, const fer_mem *mem);
    /* Between any two of: this device's memory, host memory. Returns when done. */
    fer_status (*copy)(void *device,
                       const fer_mem *destination,
                       const fer_mem *source,
                       uint64_t bytes);
    /* From another device of the same backend; FER_UNSUPPORTED makes the host go through its own
     * memory. */
    fer_status (*copy_peer)(void *device,
                            const fer_mem *destination,
                            void *source_device,
                            const fer_mem *source,
                            uint64_t bytes);
    /* Host address of mem until unmap; writes are seen by the device after unmap. FER_UNSUPPORTED:
     * the host copies. */
    fer_status (*map)(void *device, const fer_mem *mem, void **out_host);
    fer_status (*unmap)(void *device, const fer_mem *mem, void *host);
} fer_backend_memory;

/* ---- async ---- */

/* Default: everything is done when a call returns, and events are NULL (a NULL event is done). */
typedef struct fer_backend_async {
    uint32_t struct_size;
    uint32_t reserved;
    /* What is put on one stream happens in order, and when one piece of work fails, all that comes
     * after it on that stream ends with the same status without touching its outputs: the host
     * looks at the last event only, and destroys a stream that has failed. A stream is used by one
     * thread at a time. */
    fer_status (*stream_create)(void *device, void **out_stream);
    /* Waits for what is on the stream, or ends it: afterwards nothing of it touches memory,
     * instances or out_dims. The host destroys a stream before the instances made for it. */
    void (*stream_destroy)(void *device, void *stream);
    /* [concurrent for different streams] */
    fer_status (*copy_async)(void *device,
                             void *stream,
                             const fer_mem *destination,
                             const fer_mem *source,
                             uint64_t bytes,
                             void *const *waits,
                             uint32_t wait_count,
                             void **out_event);
    /* [concurrent] FER_NOT_READY, or the status the work ended with; each time that is a failure it
     * calls host->fail, on the thread that asks. Does not block. */
    fer_status (*event_query)(void *device, void *event);
    /* [concurrent] Waits at most timeout_ns. FER_NOT_READY on timeout, else as event_query. */
    fer_status (*event_wait)(void *device, void *event, uint64_t timeout_ns);
    /* [concurrent] Calls ready once when the event is done, on any thread, under no lock of the
     * backend's, having called host->fail on that thread when status is a failure. Default: a host
     * thread waits. */
    fer_status (*event_on_ready)(void *device,
                                 void *event,
                                 void (*ready)(void *self, fer_status status),
                                 void *self);
    /* [concurrent for different events] Allowed before the event is done: the work goes on. */
    void (*event_destroy)(void *device, void *event);
    /* [concurrent] Best effort: what waits on the stream ends with FER_CANCELLED. */
    void (*cancel)(void *device, void *stream);
} fer_backend_async;

/* ---- compiler ---- */

typedef struct fer_weight_layout {
    uint32_t struct_size;
    uint32_t alignment; /* 0: the device's const_alignment */
    uint64_t bytes;     /* 0 with an empty name: as the constant is */
    char name[64]; /* "" row-major as in the model; equal names mean equal prepared bytes for equal
                      constants */
} fer_weight_layout;

/* Defaults: the host groups supported nodes; weights are row-major; nothing is serialised. */
typedef struct fer_backend_compiler {
    uint32_t struct_size;
    uint32_t reserved;
    /* Shown the whole graph: fills supports[node_count] (zeroed, struct_size set). */
    fer_status (*claim)(void *device, const fer_subgraph *graph, fer_support *supports);
    /* [concurrent] The layout exec wants constants[index] of its graph in. */
    fer_status (*weight_layout)(void *device,
                                void *exec,
                                uint32_t index,
                                fer_weight_layout *out_layout);
    /* [concurrent] Fills destination (layout's bytes, host-owned device memory) from the row-major
     * source (host memory). */
    fer_status (*weight_prepare)(void *device,
                                 void *exec,
                                 uint32_t index,
                                 const fer_mem *source,
                                 const fer_mem *destination);
    /* Writes exec through write (returns 0 to go on). Weights are not part of it. */
    fer_status (*serialize)(void *device,
                            void *exec,
                            int32_t (*write)(void *self, const void *data, size_t bytes),
                            void *self);
    /* graph is what exec was compiled from. */
    fer_status (*deserialize)(
        void *device, const fer_subgraph *graph, const void *data, size_t bytes, void **out_exec);
    /* Text that changes when serialised execs stop fitting: driver, architecture, build. */
    fer_status (*compatibility_key)(void *device, char *out_text, size_t capacity);
} fer_backend_compiler;

/* ---- interop ---- */

enum { FER_HANDLE_OPAQUE_FD = 1, FER_HANDLE_DMABUF = 2, FER_HANDLE_NATIVE = 3 };
/* Defaults: FER_UNSUPPORTED, and the host copies. */
typedef struct fer_backend_interop {
    uint32_t struct_size;
    uint32_t reserved;
    /* What was imported is freed like any other, and lives as long as one of the two does. */
    fer_status (*buffer_import)(
        void *device, int32_t handle_type, uint64_t handle, uint64_t bytes, fer_mem *out_mem);
    fer_status (*buffer_export)(void *device,
                                const fer_mem *mem,
                                int32_t handle_type,
                                uint64_t *out_handle);
    fer_status (*event_import)(void *device,
                               int32_t handle_type,
                               uint64_t handle,
                               void **out_event);
    fer_status (*event_export)(void *device,
                               void *event,
                               int32_t handle_type,
                               uint64_t *out_handle);
    /* The vendor's stream (cudaStream_t, cl_command_queue, ...) of a stream, and a stream over the
     * vendor's. */
    fer_status (*stream_native)(void *device, void *stream, uint64_t *out_native);
    fer_status (*stream_wrap)(void *device, uint64_t native, void **out_stream);
} fer_backend_interop;

/* ---- observe ---- */

/* Defaults: zeros, the host's clock, nothing. */
typedef struct fer_backend_observe {
    uint32_t struct_size;
    uint32_t reserved;
    /* [concurrent] */
    fer_status (*counters)(void *device, fer_device_counters *out_counters);
    /* [concurrent] The device clock and the host's CLOCK_MONOTONIC at one moment. */
    fer_status (*clock)(void *device, uint64_t *out_device_ns, uint64_t *out_host_ns);
    /* [concurrent] Device-clock start and end of the work behind a run's or copy's event. */
    fer_status (*event_times)(void *device,
                              void *event,
                              uint64_t *out_start_ns,
                              uint64_t *out_end_ns);
    fer_status (*profile_begin)(void *device);
    fer_status (*profile_end)(void *device, fer_text_fn write, void *self);
    /* Gives back cached memory; out_freed_bytes never NULL. */
    fer_status (*trim)(void *device, uint64_t *out_freed_bytes);
} fer_backend_observe;

/* ---- the module ---- */

enum {
    FER_MODULE_PER_OP = 1u << 0,  /* the host sends one-node graphs */
    FER_MODULE_WRAPPER = 1u << 1, /* wraps an inner module: "name(ref:0)" */
    FER_MODULE_MAY_UNLOAD =
        1u << 2 /* dlclose is safe once every backend made from it is destroyed */
};
typedef struct fer_backend_module {
    uint32_t struct_size;
    uint32_t abi_version; /* chosen by the module within the host's range */
    uint32_t flags;       /* FER_MODULE_... */
    uint32_t reserved;
    const char *name;    /* [a-z][a-z0-9_]*, devices are name:0, name:1 */
    const char *version; /* free text */
    void *self;          /* handed to create */
    const fer_backend_core *core;
    const fer_backend_instances *instances;
    const fer_backend_memory *memory;
    const fer_backend_async *async;
    const fer_backend_compiler *compiler;
    const fer_backend_interop *interop;
    const fer_backend_observe *observe;
} fer_backend_module;

/* Fills out_module, zeroed by the host with struct_size set, for some version in [host_min,
 * host_max]; FER_VERSION when there is none. Pure: it touches no driver, allocates nothing, and the
 * tables it names are constant. */
typedef fer_status (*fer_backend_entry_fn)(uint32_t host_min,
                                           uint32_t host_max,
                                           fer_backend_module *out_module);
#define FER_BACKEND_ENTRY_SYMBOL "fer_backend_open"

#ifdef __cplusplus
}
#endif
#endif
