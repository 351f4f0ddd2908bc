/* SPDX-License-Identifier: Apache-2.0
 *
 * ferrule.h: one model graph on any chip. This is the header for those who use Ferrule; backend.h
 * is for those who implement a device.
 *
 *     context -> graph (import or build) -> program (compile for devices) -> run
 *
 * Rules that hold for every declaration here, so that none repeats them:
 * - Handles are opaque and reference counted: _retain adds a reference and returns its argument,
 * _release drops one; NULL is fine for both. A child holds its parents, so handles may be released
 * in any order.
 * - Functions that can fail return a fer_status. On failure no out_ argument is set, and
 * fer_error_last() tells more.
 * - Inputs are borrowed for the call; what an out_ argument receives belongs to the caller (release
 * it). Returned strings live as long as the object they came from.
 * - Structs begin with uint32_t struct_size = sizeof(struct), or 0, which means sizeof too. Zero in
 * any field means its default, and a NULL options pointer means all defaults. A shorter struct is
 * accepted, a longer one only when its unknown tail is zero.
 * - Contexts, devices, finished graphs and programs may be used by many threads at once. A tensor's
 * contents are the caller's to guard. A fer_state is used by one run at a time. Reference counting
 * is always safe.
 * - Nothing here prints, exits, aborts, installs a signal handler, reads the locale or keeps global
 * state.
 * - fork(): a child may use no Ferrule object made before the fork, not even to release it; it may
 * create new contexts.
 * - Dims count elements; sizes named _bytes count bytes; times are nanoseconds of CLOCK_MONOTONIC
 * unless said.
 */
#ifndef FERRULE_FERRULE_H
#define FERRULE_FERRULE_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define FER_API __declspec(dllexport)
#else
#define FER_API __attribute__((visibility("default")))
#endif
#if defined(__GNUC__)
#define FER_MUST_CHECK __attribute__((warn_unused_result))
#else
#define FER_MUST_CHECK
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- version and status ---- */

#define FER_VERSION_MAJOR 0
#define FER_VERSION_MINOR 1
#define FER_VERSION_PATCH 0

/* The library's version as major << 16 | minor << 8 | patch. */
FER_API uint32_t fer_version(void);
/* "0.1.0". */
FER_API const char *fer_version_string(void);

typedef int32_t fer_status;
enum {
#define FER_STATUS(number, name, sentence) FER_##name = (number),
#include "status.def"
#undef FER_STATUS
};

/* "INVALID_ARGUMENT" for FER_INVALID_ARGUMENT; "UNKNOWN" for a number this library does not know.
 */
FER_API const char *fer_status_name(fer_status status);
/* One sentence that says what the status means in general. */
FER_API const char *fer_status_sentence(fer_status status);

/* The calling thread's last failure. The record is the thread's own, of fixed size (so that out of
 * memory needs none), and valid until the thread's next failing call. Never NULL; status is FER_OK
 * before the first failure. */
typedef struct fer_error {
    uint32_t struct_size;
    fer_status status;
    int32_t native_code;  /* the vendor's own code, 0 if none */
    uint32_t source_line; /* where in Ferrule's sources it was raised */
    char source_file[48];
    char backend[32];  /* empty when no backend is to blame */
    char node[160];    /* source name of the node, empty when none */
    char message[800]; /* a sentence: what, where, what to do */
} fer_error;
FER_API const fer_error *fer_error_last(void);

/* ---- dtypes ---- */

/* Numbers equal ONNX's TensorProto.DataType. */
typedef int32_t fer_dtype;
enum {
    FER_DTYPE_NONE = 0,
    FER_F32 = 1,
    FER_U8 = 2,
    FER_I8 = 3,
    FER_U16 = 4,
    FER_I16 = 5,
    FER_I32 = 6,
    FER_I64 = 7,
    FER_STRING = 8, /* held by the host, see fer_tensor_create_strings */
    FER_BOOL = 9,   /* one byte, 0 or 1 */
    FER_F16 = 10,
    FER_F64 = 11,
    FER_U32 = 12,
    FER_U64 = 13,
    FER_C64 = 14,
    FER_C128 = 15,
    FER_BF16 = 16,
    FER_F8E4M3FN = 17,
    FER_F8E4M3FNUZ = 18,
    FER_F8E5M2 = 19,
    FER_F8E5M2FNUZ = 20,
    FER_U4 = 21, /* sub-byte dtypes pack the first element into the low bits */
    FER_I4 = 22,
    FER_F4E2M1 = 23,
    FER_F8E8M0 = 24,
    FER_U2 = 25,
    FER_I2 = 26,
    FER_DTYPE_COUNT = 27
};

/* "f32", "bf16", "f8e4m3fn", "str", ...; "?" for an unknown number. */
FER_API const char *fer_dtype_name(fer_dtype dtype);
/* The dtype of a name, FER_DTYPE_NONE if there is none. */
FER_API fer_dtype fer_dtype_from_name(const char *name);
/* Bits per element: 2 to 128; 0 for strings and unknown numbers. */
FER_API uint32_t fer_dtype_bits(fer_dtype dtype);

/* Tensors of a higher rank are FER_LIMIT errors. */
#define FER_MAX_RANK 16

/* ---- context ---- */

typedef struct fer_context fer_context;
typedef struct fer_device fer_device;
typedef struct fer_tensor fer_tensor;
typedef struct fer_value fer_value;
typedef struct fer_graph fer_graph;
typedef struct fer_program fer_program;
typedef struct fer_state fer_state;
typedef struct fer_event fer_event;

/* All host memory of a context, its backends' included, goes through this. Both functions are
 * called from any thread. alloc returns bytes (> 0) aligned to alignment (a power of two), or NULL;
 * free gets the same bytes and alignment. */
typedef struct fer_allocator {
    void *(*alloc)(void *self, size_t bytes, size_t alignment);
    void (*free)(void *self, void *memory, size_t bytes, size_t alignment);
    void *self;
} fer_allocator;

enum { FER_LOG_ERROR = 1, FER_LOG_WARN = 2, FER_LOG_INFO = 3, FER_LOG_DEBUG = 4 };
/* Called from any thread, in the middle of whatever has something to say: it must not call Ferrule
 * on the same context, or it may wait for itself. message is valid during the call. */
typedef void (*fer_log_fn)(void *self, int32_t level, const char *message);

enum {
    FER_NOTICE_DEVICE_LOST = 1,   /* subject: device name */
    FER_NOTICE_FALLBACK = 2,      /* subject: node name; detail: reason */
    FER_NOTICE_COMPILED = 3,      /* subject: "specialization"; detail: its key */
    FER_NOTICE_BACKEND_FAILED = 4 /* subject: module; detail: reason it was not loaded */
};
typedef struct fer_notice {
    uint32_t struct_size;
    int32_t kind;
    const char *subject;
    const char *detail;
} fer_notice;
/* As fer_log_fn: from any thread, in the middle of things, not calling back. The notice is valid
 * during the call. */
typedef void (*fer_notice_fn)(void *self, const fer_notice *notice);

/* What hostile or mistaken input may cost. 0 in a field means the default in parentheses. */
typedef struct fer_limits {
    uint32_t struct_size;
    uint32_t max_nesting; /* subgraphs in subgraphs, functions in functions, protobuf depth (64) */
    uint64_t max_nodes;   /* nodes of one graph after all expansion (1,000,000) */
    uint64_t max_values;  /* values of one graph (4,000,000) */
    uint64_t max_model_bytes;  /* model file and external data together (64 GiB) */
    uint64_t max_tensor_bytes; /* one tensor (64 GiB) */
    uint64_t max_loop_trips;   /* iterations of one Loop or Scan run (100,000,000) */
    uint64_t
        max_specialization_bytes; /* cached specialisations and bindings of one program (256 MiB) */
} fer_limits;

/* A cap on one device's memory in bytes for this context. */
typedef struct fer_budget {
    uint32_t struct_size;
    uint32_t reserved;
    const char *device; /* "cuda:0"; "host" for host memory */
    uint64_t bytes;
} fer_budget;

enum {
    FER_CONTEXT_NO_MANIFESTS = 1u << 0 /* load no backend from manifests; register by hand */
};

typedef struct fer_context_options {
    uint32_t struct_size;
    uint32_t flags;          /* FER_CONTEXT_... */
    fer_allocator allocator; /* all NULL: malloc */
    fer_log_fn log;
    void *log_self;
    fer_notice_fn notice;
    void *notice_self;
    const char *backend_path; /* folder of manifests; NULL: FERRULE_BACKEND_PATH, else
                                 $libdir/ferrule/backends.d */
    const fer_limits *limits;
    const fer_budget *budgets;
    uint32_t budget_count;
    uint32_t thread_count; /* threads that compute, the caller's included; 0: cgroup- and
                              affinity-aware count */
} fer_context_options;

/* Makes a context: reads manifests and registers built-in backends, but touches no driver before a
 * device is asked for. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY. A backend that fails to load is not
 * an error: see fer_context_load_report. */
FER_API FER_MUST_CHECK fer_status fer_context_create(const fer_context_options *options,
                                                     fer_context **out_context);
FER_API fer_context *fer_context_retain(fer_context *context);
FER_API void fer_context_release(fer_context *context);

/* Bytes of host memory this context has in use now, and the most it ever had. Either pointer may be
 * NULL. */
FER_API void
fer_context_memory(const fer_context *context, uint64_t *out_now_bytes, uint64_t *out_peak_bytes);

/* One line per backend that was looked at: loaded or why not. Returns the number of lines; line
 * index is < count. */
FER_API uint32_t fer_context_load_report_count(fer_context *context);
typedef struct fer_load_line {
    uint32_t struct_size;
    fer_status status;
    const char *backend; /* name as registered or as the manifest says */
    const char *detail;  /* path and version, or why it is not there */
} fer_load_line;
FER_API FER_MUST_CHECK fer_status fer_context_load_line(fer_context *context,
                                                        uint32_t index,
                                                        fer_load_line *out_line);

/* Registers a backend that is linked in: entry is its fer_backend_entry_fn (backend.h). Errors:
 * VERSION, BACKEND, INVALID_ARGUMENT (name taken), OUT_OF_MEMORY. */
struct fer_backend_module;
FER_API FER_MUST_CHECK fer_status fer_backend_register(
    fer_context *context, fer_status (*entry)(uint32_t, uint32_t, struct fer_backend_module *));
/* Opens a shared module by path and registers it. Errors: IO, VERSION, BACKEND, INVALID_ARGUMENT,
 * OUT_OF_MEMORY. */
FER_API FER_MUST_CHECK fer_status fer_backend_load(fer_context *context, const char *path);

/* ---- devices ---- */

enum { FER_DEVICE_OTHER = 0, FER_DEVICE_CPU = 1, FER_DEVICE_GPU = 2, FER_DEVICE_ACCELERATOR = 3 };
enum { FER_STATE_READY = 1, FER_STATE_LOST = 2, FER_STATE_CLOSED = 3 };

typedef struct fer_device_info {
    uint32_t struct_size;
    int32_t type;        /* FER_DEVICE_... */
    int32_t state;       /* FER_STATE_... */
    uint32_t generation; /* grows at every reopen */
    const char *name;    /* "cuda:0", "check(ref:0)" */
    const char *backend; /* "cuda" */
    const char *chip;    /* vendor's name of the chip */
    const char *note;    /* driver, features; "" if nothing to say */
    const char
        *chip_id; /* PCI address or UUID; equal ids are one chip seen by two backends; "" unknown */
    uint64_t memory_bytes; /* 0 unknown */
    uint64_t in_use_bytes; /* what this context holds there */
    uint64_t budget_bytes; /* 0 none */
    uint32_t is_default;   /* 1 if a NULL device list may choose it */
    uint32_t reserved;
} fer_device_info;

typedef struct fer_device_counters {
    uint32_t struct_size;
    uint32_t has_energy;
    uint64_t memory_used_bytes;
    uint64_t memory_total_bytes;
    uint64_t busy_ns;   /* device clock, since open */
    uint64_t energy_uj; /* valid when has_energy */
} fer_device_counters;

/* Asks every backend for its devices, once. Backends that have none are in the load report. */
FER_API FER_MUST_CHECK fer_status fer_context_device_count(fer_context *context,
                                                           uint32_t *out_count);
/* The device at index, in preference order, retained for the caller. Errors: INVALID_ARGUMENT. */
FER_API FER_MUST_CHECK fer_status fer_context_device(fer_context *context,
                                                     uint32_t index,
                                                     fer_device **out_device);
/* The device called name ("ref:0", "ref" for the first, "trace(ref:0)" makes the wrapper). Errors:
 * NO_DEVICE. */
FER_API FER_MUST_CHECK fer_status fer_device_find(fer_context *context,
                                                  const char *name,
                                                  fer_device **out_device);
FER_API fer_device *fer_device_retain(fer_device *device);
FER_API void fer_device_release(fer_device *device);
FER_API FER_MUST_CHECK fer_status fer_device_get_info(fer_device *device,
                                                      fer_device_info *out_info);
FER_API FER_MUST_CHECK fer_status fer_device_get_counters(fer_device *device,
                                                          fer_device_counters *out_counters);
/* The highest revision of an op (fer_op_info.number) that the device's backend claims: 0 when the
 * op is not among its claims, UINT32_MAX when it keeps no list and judges node by node. */
FER_API FER_MUST_CHECK fer_status fer_device_op_claim(fer_device *device,
                                                      uint32_t op_number,
                                                      uint32_t *out_revision);
/* Opens a lost device anew with the next generation: what was made in an earlier one can only be
 * released, and programs rebuild by themselves. A device that is not lost is left as it is. Errors:
 * what the backend answers, DEVICE_LOST above all; the device stays lost then. */
FER_API FER_MUST_CHECK fer_status fer_device_reopen(fer_device *device);

/* ---- tensors ---- */

enum {
    FER_IMPORT_COPY = 0,   /* copy now; release fires before the call returns */
    FER_IMPORT_BORROW = 1, /* read only, until release fires */
    FER_IMPORT_BORROW_MUTABLE = 2
};
/* Fires exactly once, also when the importing call fails, on any thread, never under a lock of
 * Ferrule's. */
typedef void (*fer_release_fn)(void *self, void *memory);

/* A new dense row-major host tensor, zeroed. dims has rank entries, each >= 0; rank 0 is a scalar.
 * Errors: INVALID_ARGUMENT, LIMIT, BUDGET, OUT_OF_MEMORY. FER_STRING makes empty strings. */
FER_API FER_MUST_CHECK fer_status fer_tensor_create(fer_context *context,
                                                    fer_dtype dtype,
                                                    uint32_t rank,
                                                    const int64_t *dims,
                                                    fer_tensor **out_tensor);
/* A tensor over the caller's memory (dense, row-major), borrowed mutable and never released: the
 * memory must outlive the tensor. No copy. */
FER_API FER_MUST_CHECK fer_status fer_tensor_wrap(fer_context *context,
                                                  fer_dtype dtype,
                                                  uint32_t rank,
                                                  const int64_t *dims,
                                                  void *data,
                                                  fer_tensor **out_tensor);
/* The same with a mode and a release callback (may be NULL). */
FER_API FER_MUST_CHECK fer_status fer_tensor_import(fer_context *context,
                                                    fer_dtype dtype,
                                                    uint32_t rank,
                                                    const int64_t *dims,
                                                    void *data,
                                                    int32_t mode,
                                                    fer_release_fn release,
                                                    void *release_self,
                                                    fer_tensor **out_tensor);
/* A string tensor: strings[i] has lengths[i] bytes (lengths NULL: NUL-terminated), copied.
 * Immutable afterwards. */
FER_API FER_MUST_CHECK fer_status fer_tensor_create_strings(fer_context *context,
                                                            uint32_t rank,
                                                            const int64_t *dims,
                                                            const char *const *strings,
                                                            const size_t *lengths,
                                                            fer_tensor **out_tensor);
/* A zeroed tensor in device's memory; fer_tensor_data is NULL unless the host can address it. */
FER_API FER_MUST_CHECK fer_status fer_tensor_create_on(fer_device *device,
                                                       fer_dtype dtype,
                                                       uint32_t rank,
                                                       const int64_t *dims,
                                                       fer_tensor **out_tensor);
/* The same elements under other dims of equal element count; shares memory. Not for sub-byte
 * dtypes. */
FER_API FER_MUST_CHECK fer_status fer_tensor_view(fer_tensor *tensor,
                                                  uint32_t rank,
                                                  const int64_t *dims,
                                                  fer_tensor **out_view);
FER_API fer_tensor *fer_tensor_retain(fer_tensor *tensor);
FER_API void fer_tensor_release(fer_tensor *tensor);

FER_API fer_dtype fer_tensor_dtype(const fer_tensor *tensor);
FER_API uint32_t fer_tensor_rank(const fer_tensor *tensor);
/* rank entries; valid as long as the tensor. */
FER_API const int64_t *fer_tensor_dims(const fer_tensor *tensor);
FER_API uint64_t fer_tensor_element_count(const fer_tensor *tensor);
/* Bytes of the dense contents; sub-byte dtypes round up; 0 for strings. */
FER_API uint64_t fer_tensor_bytes(const fer_tensor *tensor);
/* The contents in host memory, NULL when the host cannot address them (use fer_tensor_map or
 * fer_tensor_read). May be unaligned when the tensor is a weight inside a model file. */
FER_API void *fer_tensor_data(const fer_tensor *tensor);
/* The device the contents lie on, NULL for plain host memory. Borrowed. */
FER_API fer_device *fer_tensor_device(const fer_tensor *tensor);
/* String at flat index (not NUL-terminated in general); out_length may be NULL. NULL when out of
 * range. */
FER_API const char *fer_tensor_string(const fer_tensor *tensor, uint64_t index, size_t *out_length);
/* Copies bytes [offset, offset + bytes) to or from host memory, from whatever device. Errors:
 * INVALID_ARGUMENT, DEVICE_LOST, BACKEND. */
FER_API FER_MUST_CHECK fer_status fer_tensor_read(const fer_tensor *tensor,
                                                  uint64_t offset,
                                                  void *out_data,
                                                  uint64_t bytes);
FER_API FER_MUST_CHECK fer_status fer_tensor_write(fer_tensor *tensor,
                                                   uint64_t offset,
                                                   const void *data,
                                                   uint64_t bytes);
/* Contents as host memory until fer_tensor_unmap, which writes changes back when they lie
 * elsewhere. */
FER_API FER_MUST_CHECK fer_status fer_tensor_map(fer_tensor *tensor, void **out_data);
FER_API FER_MUST_CHECK fer_status fer_tensor_unmap(fer_tensor *tensor);
/* Copies the contents; same dtype and element count; either side may lie on any device. */
FER_API FER_MUST_CHECK fer_status fer_tensor_copy(const fer_tensor *source,
                                                  fer_tensor *destination);

/* DLPack (https://dmlc.github.io/dlpack): both functions speak DLManagedTensorVersioned, major
 * version 1. Import takes the struct over: its deleter always fires, also on failure. Contiguous
 * host memory is borrowed; strided memory is copied, or refused (UNSUPPORTED) when zero_copy is not
 * 0. stream: as in the array API's __dlpack__; 0 none. */
struct DLManagedTensorVersioned;
FER_API FER_MUST_CHECK fer_status fer_tensor_from_dlpack(fer_context *context,
                                                         struct DLManagedTensorVersioned *managed,
                                                         int32_t zero_copy,
                                                         uint64_t stream,
                                                         fer_tensor **out_tensor);
/* The result holds the tensor; call its deleter. UNSUPPORTED for strings and dtypes DLPack has no
 * code for. */
FER_API FER_MUST_CHECK fer_status fer_tensor_to_dlpack(
    fer_tensor *tensor, uint64_t stream, struct DLManagedTensorVersioned **out_managed);

/* ---- values: a tensor, a sequence of values, an optional, or a map ---- */

enum { FER_KIND_TENSOR = 1, FER_KIND_SEQUENCE = 2, FER_KIND_OPTIONAL = 3, FER_KIND_MAP = 4 };
/* Each takes its own references on what it wraps. An optional wraps no value (NULL) or one. */
FER_API FER_MUST_CHECK fer_status fer_value_from_tensor(fer_tensor *tensor, fer_value **out_value);
FER_API FER_MUST_CHECK fer_status fer_value_sequence(fer_context *context,
                                                     fer_value *const *items,
                                                     uint64_t count,
                                                     fer_value **out_value);
FER_API FER_MUST_CHECK fer_status fer_value_optional(fer_context *context,
                                                     fer_value *item,
                                                     fer_value **out_value);
/* Two vectors of equal length in host memory: keys (i64 or strings) and their values. */
FER_API FER_MUST_CHECK fer_status fer_value_map(fer_context *context,
                                                fer_tensor *keys,
                                                fer_tensor *values,
                                                fer_value **out_value);
/* Decodes a serialised ONNX TensorProto, SequenceProto or OptionalProto (as kind says): a file of
 * ONNX's test layout. The bytes are copied. Errors: INVALID_INPUT, UNSUPPORTED, LIMIT, BUDGET,
 * OUT_OF_MEMORY. */
FER_API FER_MUST_CHECK fer_status fer_value_from_onnx(
    fer_context *context, const void *data, uint64_t bytes, int32_t kind, fer_value **out_value);
/* What fer_value_from_onnx reads: the value as a serialised TensorProto, SequenceProto or
 * OptionalProto called name (may be NULL), handed to write at once; what write returns is ignored.
 * Errors: UNSUPPORTED (a kind without such a form), LIMIT (2 GiB), OUT_OF_MEMORY. */
typedef int32_t (*fer_text_fn)(void *self, const char *text, size_t length);
FER_API FER_MUST_CHECK fer_status fer_value_to_onnx(fer_context *context,
                                                    const fer_value *value,
                                                    const char *name,
                                                    fer_text_fn write,
                                                    void *write_self);
FER_API fer_value *fer_value_retain(fer_value *value);
FER_API void fer_value_release(fer_value *value);
FER_API int32_t fer_value_kind(const fer_value *value);
/* Items of a sequence; 0 or 1 for an optional; 1 for a tensor; 2 for a map. */
FER_API uint64_t fer_value_count(const fer_value *value);
/* Item of a sequence or optional, keys (0) or values (1) of a map, borrowed; NULL when out of
 * range.
 */
FER_API fer_value *fer_value_item(const fer_value *value, uint64_t index);
/* The tensor of a tensor value, borrowed; NULL for other kinds. */
FER_API fer_tensor *fer_value_tensor(const fer_value *value);

/* ---- graphs ---- */

typedef struct fer_import_options {
    uint32_t struct_size;
    uint32_t
        map_file; /* 1: map instead of read; the caller promises that the file will not shrink */
    const char
        *base_folder; /* for import from memory: where external data may lie; NULL: none allowed */
} fer_import_options;

/* Reads an ONNX file (IR 3 and up, opset 1 to 27). Errors: IO, INVALID_MODEL, UNSUPPORTED, LIMIT,
 * BUDGET, OUT_OF_MEMORY. */
FER_API FER_MUST_CHECK fer_status fer_graph_import_file(fer_context *context,
                                                        const char *path,
                                                        const fer_import_options *options,
                                                        fer_graph **out_graph);
/* The same from memory, which must stay unchanged until release fires (release NULL: the bytes are
 * copied). Weights are not copied when borrowed. */
FER_API FER_MUST_CHECK fer_status fer_graph_import_memory(fer_context *context,
                                                          const void *data,
                                                          uint64_t bytes,
                                                          const fer_import_options *options,
                                                          fer_release_fn release,
                                                          void *release_self,
                                                          fer_graph **out_graph);
FER_API fer_graph *fer_graph_retain(fer_graph *graph);
FER_API void fer_graph_release(fer_graph *graph);

/* What is known of an input or output before a run. dims[i] >= 0 is a number, -1 is symbolic or
 * unknown; symbols[i] is its text ("batch", "2*N+1", "?"). rank is -1 when unknown. */
typedef struct fer_value_info {
    uint32_t struct_size;
    int32_t kind; /* FER_KIND_... */
    const char *name;
    fer_dtype dtype;
    int32_t rank;
    const int64_t *dims;
    const char *const *symbols;
} fer_value_info;
FER_API uint32_t fer_graph_input_count(const fer_graph *graph);
FER_API uint32_t fer_graph_output_count(const fer_graph *graph);
FER_API uint64_t fer_graph_node_count(const fer_graph *graph);
/* Nodes of the op with this number (fer_op_info), those in bodies included. */
FER_API uint64_t fer_graph_op_count(const fer_graph *graph, uint32_t number);
FER_API FER_MUST_CHECK fer_status fer_graph_input(const fer_graph *graph,
                                                  uint32_t index,
                                                  fer_value_info *out_info);
FER_API FER_MUST_CHECK fer_status fer_graph_output(const fer_graph *graph,
                                                   uint32_t index,
                                                   fer_value_info *out_info);
/* Readable text, a piece at a time; write returns 0 to go on. */
FER_API FER_MUST_CHECK fer_status fer_graph_print(const fer_graph *graph,
                                                  fer_text_fn write,
                                                  void *write_self);

/* The finished graph as a serialised ONNX model: initializers inside, every node in its newest
 * form, opsets no newer than its nodes need. Handed to write at once. Errors: UNSUPPORTED
 * (variables), LIMIT (2 GiB), OUT_OF_MEMORY. */
FER_API FER_MUST_CHECK fer_status fer_graph_write_onnx(const fer_graph *graph,
                                                       fer_text_fn write,
                                                       void *write_self);

/* Builder: make, add, finish. Until finished a graph belongs to one thread. */
typedef uint32_t fer_value_id;
#define FER_NO_VALUE UINT32_MAX

enum {
    FER_ATTR_NONE = 0,
    FER_ATTR_INT = 1,
    FER_ATTR_FLOAT = 2,
    FER_ATTR_STRING = 3,
    FER_ATTR_TENSOR = 4,
    FER_ATTR_INTS = 5,
    FER_ATTR_FLOATS = 6,
    FER_ATTR_STRINGS = 7,
    FER_ATTR_GRAPH = 8
};
/* Bytes with a length; also NUL-terminated at length. */
typedef struct fer_string {
    const char *data;
    uint64_t length;
} fer_string;
/* One attribute of a node. The arrays hold count elements. */
typedef struct fer_attr {
    const char *name;
    int32_t type;   /* FER_ATTR_INT, ... */
    uint32_t count; /* elements of ints, floats, strings; else 1 */
    union {
        int64_t i;
        float f;
        fer_string s;
        const int64_t *ints;
        const float *floats;
        const fer_string *strings;
        fer_tensor *tensor;    /* borrowed from the caller, retained by the graph */
        uint32_t graph;        /* inside a finished graph: index into the node's bodies */
        const fer_graph *body; /* to the builder: a finished graph whose inputs are the body's */
    } value;
} fer_attr;

FER_API FER_MUST_CHECK fer_status fer_graph_create(fer_context *context, fer_graph **out_graph);
/* dims[i] >= 0 or -1; symbols may be NULL, or hold names for the -1 dims (equal names are equal
 * dims). */
FER_API FER_MUST_CHECK fer_status fer_graph_add_input(fer_graph *graph,
                                                      const char *name,
                                                      fer_dtype dtype,
                                                      uint32_t rank,
                                                      const int64_t *dims,
                                                      const char *const *symbols,
                                                      fer_value_id *out_value);
/* A weight; the graph holds the tensor, whose contents must not change any more. */
FER_API FER_MUST_CHECK fer_status fer_graph_add_constant(fer_graph *graph,
                                                         const char *name,
                                                         fer_tensor *tensor,
                                                         fer_value_id *out_value);
/* A variable: lives in a fer_state and starts as a copy of initial. */
FER_API FER_MUST_CHECK fer_status fer_graph_add_variable(fer_graph *graph,
                                                         const char *name,
                                                         fer_tensor *initial,
                                                         fer_value_id *out_value);
/* At the end of every run the variable becomes value (same dtype and shape). */
FER_API FER_MUST_CHECK fer_status fer_graph_assign_variable(fer_graph *graph,
                                                            fer_value_id variable,
                                                            fer_value_id value);
/* A node of an op of the newest opset (domain "" is ai.onnx). inputs may hold FER_NO_VALUE for
 * optional operands left out; out_values receives output_count ids. Errors: INVALID_MODEL,
 * UNSUPPORTED, OUT_OF_MEMORY, LIMIT. */
typedef struct fer_node_desc {
    uint32_t struct_size;
    uint32_t input_count;
    const char *domain; /* NULL: "" */
    const char *op;
    const char *name; /* NULL: made from the op and a number */
    const fer_value_id *inputs;
    const fer_attr *attrs;
    uint32_t attr_count;
    uint32_t output_count;
} fer_node_desc;
FER_API FER_MUST_CHECK fer_status fer_graph_add_node(fer_graph *graph,
                                                     const fer_node_desc *node,
                                                     fer_value_id *out_values);
FER_API FER_MUST_CHECK fer_status fer_graph_add_output(fer_graph *graph,
                                                       const char *name,
                                                       fer_value_id value);
/* Verifies the graph and makes it immutable; adding fails afterwards. */
FER_API FER_MUST_CHECK fer_status fer_graph_finish(fer_graph *graph);

/* ---- programs ---- */

enum {
    FER_FALLBACK_DEFAULT = 0,
    FER_FALLBACK_ERROR = 1,
    FER_FALLBACK_WARN = 2,
    FER_FALLBACK_ALLOW = 3
};

typedef struct fer_pin {
    const char *node;   /* source name of a node, INVALID_ARGUMENT if there is none; a trailing *
                           matches a prefix, perhaps of no node */
    const char *device; /* must be in the device list */
} fer_pin;

typedef struct fer_share {
    const char *device;
    double percent; /* of the estimated work, host work excluded */
} fer_share;

/* A value for a symbolic dim of an input, known at compile time. */
typedef struct fer_dim_value {
    const char *name;
    int64_t value;
} fer_dim_value;

typedef struct fer_compile_options {
    uint32_t struct_size;
    int32_t fallback; /* FER_FALLBACK_...: may a node run on a later device of the list than the
                         first? (warn) */
    const char
        *devices; /* "cuda,cpu": order of preference; NULL: all default devices, best first */
    const fer_pin *pins;
    uint32_t pin_count;
    uint32_t share_count;
    const fer_share *shares; /* each at least this much, or FER_PLACEMENT */
    const fer_dim_value *dims;
    uint32_t dim_count;
    uint32_t state_count;          /* run states in the pool, runs that may proceed at once (8): the
                                      first is made here, others as runs need them; where memory has
                                      no room for another, a run waits for one of those there are */
    const char *const *passes_off; /* names of passes to skip, which must be known */
    uint32_t passes_off_count;
    uint32_t drop_sources; /* 1: let go of constants that devices hold copies of; after a loss the
                              program answers DEVICE_LOST for good. UNSUPPORTED where open dims or
                              data-dependent shapes leave something to compile later */
    uint64_t deadline_ns;  /* for the compilation, from the call; 0 none */
} fer_compile_options;

/* Compiles a graph. What shape-deciding inputs leave open is compiled at the first run that shows
 * them. Errors: UNSUPPORTED (names op and node), PLACEMENT, BUDGET (names the peak tensors),
 * NO_DEVICE, DEVICE_LOST, DEADLINE, ... */
FER_API FER_MUST_CHECK fer_status fer_program_compile(fer_context *context,
                                                      fer_graph *graph,
                                                      const fer_compile_options *options,
                                                      fer_program **out_program);
/* fer_graph_import_file with defaults, then fer_program_compile. */
FER_API FER_MUST_CHECK fer_status fer_program_load(fer_context *context,
                                                   const char *path,
                                                   const fer_compile_options *options,
                                                   fer_program **out_program);
FER_API fer_program *fer_program_retain(fer_program *program);
FER_API void fer_program_release(fer_program *program);

FER_API uint32_t fer_program_input_count(const fer_program *program);
FER_API uint32_t fer_program_output_count(const fer_program *program);
FER_API FER_MUST_CHECK fer_status fer_program_input(const fer_program *program,
                                                    uint32_t index,
                                                    fer_value_info *out_info);
FER_API FER_MUST_CHECK fer_status fer_program_output(const fer_program *program,
                                                     uint32_t index,
                                                     fer_value_info *out_info);
/* Index of a name, UINT32_MAX if there is none. */
FER_API uint32_t fer_program_input_index(const fer_program *program, const char *name);
FER_API uint32_t fer_program_output_index(const fer_program *program, const char *name);

/* Where a node runs, and why not elsewhere. Entries stand for source nodes, in graph order; nodes
 * that only later stages or specialisations decide appear once those are compiled. */
typedef struct fer_placement {
    uint32_t struct_size;
    uint32_t part_count; /* pieces the source node became */
    const char *node;    /* source name */
    const char *op;
    const char *
        device; /* "host" for shape arithmetic and host ops; "folded" when nothing is left to run */
    const char *reason;      /* what better devices said; "" when the first choice took it */
    fer_dtype dtype;         /* of the first output */
    uint32_t specialization; /* which one this line belongs to, 0 first */
    double work;             /* estimated operations, 0 unknown */
} fer_placement;
FER_API FER_MUST_CHECK fer_status fer_program_placement_count(fer_program *program,
                                                              uint64_t *out_count);
/* Strings are valid as long as the program. */
FER_API FER_MUST_CHECK fer_status fer_program_placement(fer_program *program,
                                                        uint64_t index,
                                                        fer_placement *out_placement);

enum { FER_TRIM_STATES = 1, FER_TRIM_SPECIALIZATIONS = 2, FER_TRIM_WEIGHTS = 3 };
/* Drops what idles, up to a level; the next run restores it. out_freed_bytes may be NULL. */
FER_API FER_MUST_CHECK fer_status fer_program_trim(fer_program *program,
                                                   int32_t level,
                                                   uint64_t *out_freed_bytes);

typedef struct fer_program_stats {
    uint32_t struct_size;
    uint32_t specialization_count; /* compiled structures */
    uint64_t binding_count;        /* dim tuples seen and cached */
    uint64_t compile_count;        /* backend compile calls so far */
    uint64_t run_count;
    uint64_t weight_bytes; /* prepared or uploaded copies; contents used in place are not counted */
    uint64_t arena_bytes;  /* of all run states */
    uint64_t pass_change_count; /* what the passes did, in total */
} fer_program_stats;
FER_API FER_MUST_CHECK fer_status fer_program_get_stats(fer_program *program,
                                                        fer_program_stats *out_stats);
/* Text, one line per pass and specialisation: what each pass did. */
FER_API FER_MUST_CHECK fer_status fer_program_print_passes(fer_program *program,
                                                           fer_text_fn write,
                                                           void *write_self);

/* ---- runs ---- */

typedef struct fer_tag {
    const char *key; /* "project", "team", anything */
    const char *value;
    double weight; /* share of the cost, 0 means 1 */
} fer_tag;

typedef struct fer_partition_record {
    uint32_t struct_size;
    uint32_t generation; /* of the device */
    char device[48];
    uint64_t start_ns; /* device clock, correlated to CLOCK_MONOTONIC where the backend can */
    uint64_t end_ns;
    uint64_t bytes_in; /* moved to the device for this partition */
    uint64_t bytes_out;
    uint32_t step_count;
    uint32_t reserved;
} fer_partition_record;

/* The caller owns the record and points partitions at capacity entries if it wants them. */
typedef struct fer_run_record {
    uint32_t struct_size;
    uint32_t attempt;    /* 0 first; grows when a run is repeated after loss */
    uint64_t run_id;     /* unique in the context */
    uint64_t parent_id;  /* as given in the options */
    uint64_t queue_ns;   /* waiting for a run state or a worker */
    uint64_t compile_ns; /* 0 when everything was cached */
    uint64_t start_ns;
    uint64_t end_ns;
    uint64_t bytes_moved;         /* between memories */
    uint64_t import_copies_bytes; /* strided or refused zero-copy inputs */
    uint64_t poll_count;          /* times a kernel asked for deadline and cancel */
    uint32_t stage_count;         /* stages that ran */
    uint32_t shape_wait_count;    /* times a run waited for a shape-deciding value on a device */
    uint32_t partition_capacity;  /* in */
    uint32_t partition_count;     /* out; may exceed capacity */
    fer_partition_record *partitions;
} fer_run_record;

enum {
    FER_RUN_COMMIT = 1u << 0,   /* copy into bound outputs only after success */
    FER_RUN_ZERO_COPY = 1u << 1 /* an input that would need a copy on its own device is an error */
};
typedef struct fer_run_options {
    uint32_t struct_size;
    uint32_t flags;         /* FER_RUN_... */
    uint64_t deadline_ns;   /* from the call; 0 none */
    const uint32_t *cancel; /* the run stops soon after *cancel becomes nonzero (read atomically) */
    const fer_tag *tags;
    uint32_t tag_count;
    uint32_t donated_count;
    const uint32_t *donated; /* indices of inputs whose memory the run may overwrite */
    uint64_t parent_id;
    fer_run_record *record; /* filled also on failure, as far as the run came */
    fer_state *state;       /* NULL: a program with variables uses fresh initial values */
} fer_run_options;

/* Runs with inputs in the program's order. outputs[i]: NULL receives a new tensor; a tensor of the
 * right dtype and shape is filled. An output that overlaps an input not donated is
 * INVALID_ARGUMENT. On failure outputs that were NULL stay NULL, and the contents of bound ones are
 * undefined (see FER_RUN_COMMIT). Errors: INVALID_INPUT, DEADLINE, CANCELLED, BUDGET, DEVICE_LOST,
 * and those of compilation. */
FER_API FER_MUST_CHECK fer_status fer_program_run(fer_program *program,
                                                  const fer_run_options *options,
                                                  fer_tensor *const *inputs,
                                                  uint32_t input_count,
                                                  fer_tensor **outputs,
                                                  uint32_t output_count);
/* The same for values of every kind. outputs[i] NULL receives a new value; a tensor value is
 * filled. */
FER_API FER_MUST_CHECK fer_status fer_program_run_values(fer_program *program,
                                                         const fer_run_options *options,
                                                         fer_value *const *inputs,
                                                         uint32_t input_count,
                                                         fer_value **outputs,
                                                         uint32_t output_count);
/* Starts a run and returns. Inputs, outputs that are bound, options->record and options->cancel
 * stay valid until the event is done; everything else is copied. Results come from
 * fer_event_output; outputs NULL binds none of them. */
FER_API FER_MUST_CHECK fer_status fer_program_run_async(fer_program *program,
                                                        const fer_run_options *options,
                                                        fer_tensor *const *inputs,
                                                        uint32_t input_count,
                                                        fer_tensor *const *outputs,
                                                        uint32_t output_count,
                                                        fer_event **out_event);

FER_API fer_event *fer_event_retain(fer_event *event);
FER_API void fer_event_release(fer_event *event);
/* FER_NOT_READY while running; afterwards the run's status, and on failure its error becomes the
 * thread's last. */
FER_API fer_status fer_event_query(fer_event *event);
/* Waits at most timeout_ns (UINT64_MAX: forever). FER_NOT_READY on timeout, else as query. */
FER_API fer_status fer_event_wait(fer_event *event, uint64_t timeout_ns);
/* Calls ready once when done (at once if it is), on any thread, never under a lock. One callback
 * per event. */
typedef void (*fer_ready_fn)(void *self, fer_status status);
FER_API FER_MUST_CHECK fer_status fer_event_on_ready(fer_event *event,
                                                     fer_ready_fn ready,
                                                     void *ready_self);
/* Output index of a finished, successful run, retained for the caller. */
FER_API FER_MUST_CHECK fer_status fer_event_output(fer_event *event,
                                                   uint32_t index,
                                                   fer_tensor **out_tensor);

/* ---- state ---- */

/* The values of a program's variables. */
FER_API FER_MUST_CHECK fer_status fer_state_create(fer_program *program, fer_state **out_state);
FER_API fer_state *fer_state_retain(fer_state *state);
FER_API void fer_state_release(fer_state *state);
/* Grows by one at every run that commits. */
FER_API uint64_t fer_state_version(const fer_state *state);
/* A copy of a variable's value now; host tensor. Errors: INVALID_ARGUMENT (no such variable). */
FER_API FER_MUST_CHECK fer_status fer_state_get(fer_state *state,
                                                const char *name,
                                                fer_tensor **out_tensor);
FER_API FER_MUST_CHECK fer_status fer_state_set(fer_state *state,
                                                const char *name,
                                                const fer_tensor *tensor);

/* ---- eager ---- */

/* Runs one op of the newest opset on a device (NULL: best default), through a cached one-node
 * program. inputs may hold NULL for optional operands left out. */
FER_API FER_MUST_CHECK fer_status fer_op_run(fer_context *context,
                                             fer_device *device,
                                             const char *domain,
                                             const char *op,
                                             const fer_attr *attrs,
                                             uint32_t attr_count,
                                             fer_tensor *const *inputs,
                                             uint32_t input_count,
                                             fer_tensor **outputs,
                                             uint32_t output_count);

/* The op table, for tools: one entry per op this library knows. */
typedef struct fer_op_info {
    uint32_t struct_size;
    uint32_t number; /* explicit, never reused */
    const char *domain;
    const char *name;
    uint32_t revision; /* opset version of its newest meaning */
    uint32_t has_expansion;
    const char *family;
} fer_op_info;
FER_API uint32_t fer_op_count(void);
FER_API FER_MUST_CHECK fer_status fer_op_get(uint32_t index, fer_op_info *out_info);

/* ---- for examples and tests ---- */

/* FER_CHECK(call): on failure prints the error and leaves the calling function with status 1. It
 * needs <stdio.h>, and is for examples: a library handles the status. */
#define FER_CHECK(call)                                                                            \
    do {                                                                                           \
        fer_status fer_check_status = (call);                                                      \
        if (fer_check_status != FER_OK) {                                                          \
            fprintf(                                                                               \
                stderr, "%s: %s\n", fer_status_name(fer_check_status), fer_error_last()->message); \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

#ifdef __cplusplus
}
#endif
#endif
