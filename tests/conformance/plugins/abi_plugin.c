/* SPDX-License-Identifier: Apache-2.0
 *
 * A device that adds and takes the positive part of f32 tensors of one fixed shape, with instances
 * and serialised execs, built once right and once for each rule of backend.h that it breaks:
 * -DPLUGIN_MODE=leaks and so on, under the name PLUGIN_NAME. The ABI suite must find each.
 */
#include <ferrule/backend.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    right,
    null_weights,   /* looks at weights that are not there */
    shares,         /* destroying one backend destroys another's memory */
    leaks,          /* keeps what it has when it gets no more */
    sizeless,       /* never looks at struct_size */
    zeroes_tail,    /* clears structs to the size they say */
    races,          /* runs of all instances use one piece of memory */
    miscounts,      /* counts without atomics or lock */
    stale,          /* looks at an exec that is destroyed */
    half_blob,      /* takes serialised bytes that were cut */
    blind_blob,     /* reads serialised bytes without asking how many there are */
    hangs_on_blob,  /* waits for serialised bytes that never come */
    overruns,       /* writes an element too much */
    silent,         /* fails without a sentence */
    sets_out,       /* fails, and sets its out argument */
    other_status,   /* calls lost memory something else */
    any_version,    /* agrees to every ABI version */
    sulks,          /* after one refusal refuses for ever */
    deaf,           /* never asks poll */
    keeps_constant, /* reads the constant's data after compile */
    hoards          /* takes memory that is not the host's, and keeps it */
};
#ifndef PLUGIN_MODE
#define PLUGIN_MODE right
#define PLUGIN_NAME "upright"
#endif
#define IS(mode) (PLUGIN_MODE == (mode))
#define IS_SHORT(it) (!IS(sizeless) && (it)->struct_size < sizeof *(it))

typedef struct plugin_exec {
    uint32_t op, inputs;
    uint64_t count;
    uint32_t is_weight[2], index[2];
    uint32_t is_broken;
    volatile int made; /* instances, of all time */
    atomic_int ended;
    const void *constant;
    void *extra;
} plugin_exec;

typedef struct backend {
    const fer_host *host;
    void *piece;
    plugin_exec *last;
} backend;

typedef struct plugin_instance {
    plugin_exec *exec;
    const fer_mem *weights;
} plugin_instance;

enum { EXTRA = 40, MOST = 1 << 19 };
static void *shared_piece;
static void *volatile hoard; /* volatile: the compiler would drop what nobody reads */
static float shared_numbers[MOST];

/* Long enough that another thread comes between. */
static void pause_here(void) {
    struct timespec little = {0, 20000};
    (void)nanosleep(&little, NULL);
}

static fer_status refuse(backend *self, fer_status status, const char *sentence) {
    return IS(silent) ? status : self->host->fail(self->host->self, status, 0, NULL, sentence);
}

static fer_status refuse_short(backend *self) {
    return refuse(self, FER_INVALID_ARGUMENT, "a struct is shorter than this ABI version has it");
}

static fer_status no_memory(backend *self) {
    return IS(other_status) ? refuse(self, FER_BACKEND, "something is wrong") : FER_OUT_OF_MEMORY;
}

/* ---- backend and device ---- */

static fer_status create(void *self, const fer_create_args *args, void **out_backend) {
    (void)self;
    if (IS_SHORT(args) || IS_SHORT(args->host)) {
        return FER_INVALID_ARGUMENT;
    }
    const fer_host *host = args->host;
    backend *made = host->alloc(host->self, sizeof *made, 16);
    void *piece = made != NULL ? host->alloc(host->self, EXTRA, 16) : NULL;
    if (piece == NULL) {
        host->free(host->self, made, sizeof *made, 16);
        return FER_OUT_OF_MEMORY;
    }
    *made = (backend){.host = host, .piece = piece};
    shared_piece = piece;
    *out_backend = made;
    return FER_OK;
}

static void destroy(void *object) {
    backend *self = object;
    const fer_host *host = self->host;
    host->free(host->self, IS(shares) ? shared_piece : self->piece, EXTRA, 16);
    host->free(host->self, self, sizeof *self, 16);
}

static fer_status device_count(void *object, uint32_t *out_count) {
    (void)object;
    *out_count = 1;
    return FER_OK;
}

static fer_status device_info(void *object, uint32_t index, fer_backend_device_info *out_info) {
    if (IS_SHORT(out_info)) {
        return refuse_short(object);
    }
    if (index != 0) {
        return refuse(object, FER_NO_DEVICE, "there is one device");
    }
    if (IS(zeroes_tail)) {
        memset(&out_info->type, 0, out_info->struct_size - sizeof out_info->struct_size);
    }
    out_info->flags = FER_DEVICE_HOST_MEMORY | FER_DEVICE_NEVER_DEFAULT;
    (void)snprintf(out_info->chip, sizeof out_info->chip, "for the ABI suite");
    return FER_OK;
}

static fer_status device_open(void *object, uint32_t index, void **out_device) {
    if (index != 0) {
        return refuse(object, FER_NO_DEVICE, "there is one device");
    }
    *out_device = object;
    return FER_OK;
}

static void device_close(void *object) {
    backend *self = object;
    if (IS(stale) && self->last != NULL) {
        self->last->made = 0;
    }
}

static const fer_op_claim claims[] = {
    {.op = FER_OP_Add,  .revision = 14},
    {.op = FER_OP_Relu, .revision = 14},
};

static fer_status op_claims(void *object, const fer_op_claim **out_claims, uint32_t *out_count) {
    (void)object;
    *out_claims = claims;
    *out_count = 2;
    return FER_OK;
}

static fer_status
op_supported(void *object, const fer_subgraph *graph, uint32_t node, fer_support *out_support) {
    if (IS_SHORT(graph) || IS_SHORT(out_support)) {
        return refuse_short(object);
    }
    const fer_node_view *view = graph->nodes[node];
    const fer_value_view *out = graph->values[view->outputs[0]];
    uint64_t count = 1;
    int is_ours = out->rank <= FER_MAX_RANK;
    for (uint32_t i = 0; i < view->input_count && is_ours; i++) {
        const fer_value_view *in = graph->values[view->inputs[i]];
        is_ours = in->dtype == FER_F32 && in->rank == out->rank;
        for (uint32_t d = 0; is_ours && d < in->rank; d++) {
            is_ours = in->dims[d].value >= 0 && in->dims[d].value == out->dims[d].value;
        }
    }
    for (uint32_t d = 0; is_ours && d < out->rank; d++) {
        is_ours = !__builtin_mul_overflow(count, (uint64_t)out->dims[d].value, &count);
    }
    out_support->supported = is_ours && count <= MOST;
    if (!out_support->supported) {
        (void)snprintf(out_support->reason, sizeof out_support->reason, "f32 of one small shape");
    }
    return FER_OK;
}

/* ---- execs ---- */

static void
operand_find(const fer_subgraph *graph, uint32_t value, plugin_exec *exec, uint32_t at) {
    for (uint32_t i = 0; i < graph->input_count; i++) {
        exec->index[at] = graph->inputs[i] == value ? i : exec->index[at];
    }
    for (uint32_t i = 0; i < graph->constant_count; i++) {
        if (graph->constants[i] == value) {
            exec->is_weight[at] = 1;
            exec->index[at] = i;
            exec->constant = graph->values[value]->data;
        }
    }
}

static fer_status exec_make(backend *self, const fer_subgraph *graph, void **out_exec) {
    const fer_host *host = self->host;
    if (IS(hoards)) {
        hoard = malloc(100);
    }
    plugin_exec *exec = host->alloc(host->self, sizeof *exec, 16);
    if (exec == NULL) {
        return no_memory(self);
    }
    const fer_node_view *node = graph->nodes[0];
    const fer_value_view *out = graph->values[node->outputs[0]];
    *exec = (plugin_exec){.op = node->op, .inputs = node->input_count, .count = 1};
    exec->extra = host->alloc(host->self, EXTRA, 16);
    if (exec->extra == NULL) {
        if (!IS(leaks)) {
            host->free(host->self, exec, sizeof *exec, 16);
        }
        return no_memory(self);
    }
    for (uint32_t d = 0; d < out->rank; d++) {
        exec->count *= (uint64_t)out->dims[d].value;
    }
    for (uint32_t i = 0; i < exec->inputs; i++) {
        operand_find(graph, node->inputs[i], exec, i);
    }
    *out_exec = exec;
    return FER_OK;
}

static fer_status compile(void *object, const fer_subgraph *graph, void **out_exec) {
    if (IS_SHORT(graph)) {
        return refuse_short(object);
    }
    return exec_make(object, graph, out_exec);
}

static void exec_destroy(void *object, void *object_exec) {
    const fer_host *host = ((backend *)object)->host;
    plugin_exec *exec = object_exec;
    if (IS(miscounts) && exec->made != atomic_load(&exec->ended)) {
        return; /* "somebody uses it still" */
    }
    host->free(host->self, exec->extra, EXTRA, 16);
    host->free(host->self, exec, sizeof *exec, 16);
}

static fer_status
workspace_bytes(void *object, void *exec, const int64_t *dim_values, uint64_t *out_bytes) {
    (void)object;
    (void)exec;
    (void)dim_values;
    *out_bytes = 0;
    return FER_OK;
}

/* ---- running ---- */

static fer_status
refuse_run(backend *self, plugin_exec *exec, fer_status status, const char *sentence) {
    exec->is_broken = IS(sulks);
    return refuse(self, status, sentence);
}

static fer_status
compute(const plugin_exec *exec, const char *const *from, char *to, const fer_poll *poll) {
    for (uint64_t i = 0; i < exec->count + IS(overruns); i++) {
        float a = 0, b = 0;
        memcpy(&a, from[0] + i * sizeof a, sizeof a);
        if (exec->inputs > 1) {
            memcpy(&b, from[1] + i * sizeof b, sizeof b);
        }
        a = exec->op == FER_OP_Add ? a + b : a > 0 ? a : 0;
        memcpy(to + i * sizeof a, &a, sizeof a);
        fer_status status = i % 65536 == 65535 && !IS(deaf) ? poll->check(poll->self) : FER_OK;
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

static fer_status
run_exec(backend *self, plugin_exec *exec, const fer_mem *weights, const fer_run_args *args) {
    const char *from[2] = {NULL, NULL};
    uint64_t bytes = exec->count * sizeof(float);
    const fer_mem *out = &args->outputs[0];
    int is_whole = bytes == 0 || (out->host != NULL && out->bytes >= bytes);
    if (exec->is_broken) {
        return refuse(self, FER_BACKEND, "it was refused before");
    }
    for (uint32_t i = 0; i < exec->inputs; i++) {
        const fer_mem *mem = &(exec->is_weight[i] ? weights : args->inputs)[exec->index[i]];
        is_whole &= bytes == 0 || (mem->host != NULL && mem->bytes >= bytes);
        from[i] = IS(keeps_constant) && exec->is_weight[i] ? exec->constant : mem->host;
    }
    if (!is_whole) {
        return refuse_run(
            self, exec, FER_INVALID_ARGUMENT, "a tensor has no memory, or too little");
    }
    if (IS(null_weights)) {
        const volatile uint64_t *of_weights = &weights[0].bytes;
        (void)*of_weights;
    }
    self->last = IS(stale) ? exec : NULL;
    if (IS(races)) {
        memcpy(shared_numbers, from[0], bytes);
        pause_here();
        from[0] = (const char *)shared_numbers;
    }
    return compute(exec, from, out->host, args->poll);
}

static fer_status run(void *object, void *exec, const fer_run_args *args) {
    return IS_SHORT(args) ? refuse_short(object) : run_exec(object, exec, args->weights, args);
}

static fer_status
instance_create(void *object, void *exec, const fer_instance_args *args, void **out_instance) {
    if (IS_SHORT(args)) {
        *out_instance = IS(sets_out) ? NULL : *out_instance;
        return refuse_short(object);
    }
    const fer_host *host = ((backend *)object)->host;
    plugin_instance *made = host->alloc(host->self, sizeof *made, 16);
    if (made == NULL) {
        return no_memory(object);
    }
    *made = (plugin_instance){exec, args->weights};
    if (IS(miscounts)) {
        int before = made->exec->made;
        pause_here();
        made->exec->made = before + 1;
    }
    *out_instance = made;
    return FER_OK;
}

static void instance_destroy(void *object, void *instance) {
    const fer_host *host = ((backend *)object)->host;
    plugin_instance *self = instance;
    atomic_fetch_add(&self->exec->ended, 1);
    host->free(host->self, self, sizeof *self, 16);
}

static fer_status instance_run(void *object, void *instance, const fer_run_args *args) {
    plugin_instance *self = instance;
    return IS_SHORT(args) ? refuse_short(object)
                          : run_exec(object, self->exec, self->weights, args);
}

/* ---- serialised: a mark, the op, the count and a sum of all before it ---- */

typedef struct blob {
    uint32_t mark, op;
    uint64_t count, sum;
} blob;
enum { MARK = 0x31424950 };

static uint64_t sum_of(const blob *of) {
    uint64_t sum = 1469598103934665603u;
    for (size_t i = 0; i < offsetof(blob, sum); i++) {
        sum = (sum ^ ((const unsigned char *)of)[i]) * 1099511628211u;
    }
    return sum;
}

static fer_status serialize(void *object,
                            void *exec,
                            int32_t (*write)(void *self, const void *data, size_t bytes),
                            void *self) {
    const plugin_exec *from = exec;
    blob made = {.mark = MARK, .op = from->op, .count = from->count};
    made.sum = sum_of(&made);
    return write(self, &made, sizeof made) == 0 ? FER_OK
                                                : refuse(object, FER_IO, "nobody takes the bytes");
}

static fer_status deserialize(
    void *object, const fer_subgraph *graph, const void *data, size_t bytes, void **out_exec) {
    blob given = {0};
    int is_whole = bytes == sizeof given;
    if (IS_SHORT(graph)) {
        return refuse_short(object);
    }
    if (IS(blind_blob) || is_whole) {
        memcpy(&given, data, sizeof given);
    }
    is_whole = is_whole && given.mark == MARK && given.sum == sum_of(&given) &&
               given.op == graph->nodes[0]->op;
    if (IS(half_blob)) {
        is_whole = bytes >= sizeof given.mark && memcmp(data, "PIB1", sizeof given.mark) == 0;
    }
    while (IS(hangs_on_blob) && !is_whole) {
        (void)sched_yield();
    }
    return is_whole
               ? exec_make(object, graph, out_exec)
               : refuse(object, FER_INVALID_ARGUMENT, "these are no bytes of this graph's exec");
}

static fer_status compatibility_key(void *object, char *out_text, size_t capacity) {
    (void)object;
    (void)snprintf(out_text, capacity, "abi plugin 1");
    return FER_OK;
}

/* ---- the module ---- */

static const fer_backend_core core = {.struct_size = sizeof core,
                                      .create = create,
                                      .destroy = destroy,
                                      .device_count = device_count,
                                      .device_info = device_info,
                                      .device_open = device_open,
                                      .device_close = device_close,
                                      .op_supported = op_supported,
                                      .compile = compile,
                                      .exec_destroy = exec_destroy,
                                      .workspace_bytes = workspace_bytes,
                                      .run = run,
                                      .op_claims = op_claims};
static const fer_backend_instances instances = {.struct_size = sizeof instances,
                                                .instance_create = instance_create,
                                                .instance_destroy = instance_destroy,
                                                .run = instance_run};
static const fer_backend_compiler compiler = {.struct_size = sizeof compiler,
                                              .serialize = serialize,
                                              .deserialize = deserialize,
                                              .compatibility_key = compatibility_key};

FER_API fer_status fer_backend_open(uint32_t host_min,
                                    uint32_t host_max,
                                    fer_backend_module *out_module);
fer_status fer_backend_open(uint32_t host_min, uint32_t host_max, fer_backend_module *out_module) {
    int agrees = host_min <= FER_BACKEND_ABI_MAX && host_max >= FER_BACKEND_ABI_MIN;
    if ((!agrees && !IS(any_version)) || IS_SHORT(out_module)) {
        return FER_VERSION;
    }
    out_module->abi_version = FER_BACKEND_ABI_MAX;
    out_module->flags = FER_MODULE_PER_OP | FER_MODULE_MAY_UNLOAD;
    out_module->name = PLUGIN_NAME;
    out_module->version = "1";
    out_module->core = &core;
    out_module->instances = &instances;
    out_module->compiler = &compiler;
    return FER_OK;
}
