/* SPDX-License-Identifier: Apache-2.0
 *
 * Single ops: fer_op_run through a cache of one-node programs, and the evaluator that passes and
 * host ops are handed. The cache knows op, attributes, dtypes, ranks and device; dims stay open, so
 * a new shape costs no compile where the device runs open dims.
 */
#include "base/error.h"
#include "base/later.h"
#include "program.h"

#include <stdlib.h>
#include <string.h>

enum { CACHED_PROGRAMS = 64, MAX_OPERANDS = 256 };

typedef struct eager_entry {
    feri_text key; /* empty: free */
    fer_program *program;
    uint64_t tick; /* of its last use */
} eager_entry;

typedef struct eager_cache {
    pthread_mutex_t lock;
    uint64_t tick;
    eager_entry entries[CACHED_PROGRAMS];
} eager_cache;

/* One op to run: where, what and on which operands. */
typedef struct eager_call {
    fer_context *context;
    fer_device *device;
    const feri_gnode *node;
    fer_tensor *const *inputs;
} eager_call;

/* ---- the one-node graph ---- */

static fer_status
operand_add(fer_graph *graph, const fer_tensor *tensor, int open_dims, fer_value_id *out_id) {
    *out_id = FER_NO_VALUE;
    if (tensor == NULL) {
        return FER_OK;
    }
    FER_TRY(feri_graph_new_input(graph, NULL, out_id));
    feri_fact *fact = &graph->values[*out_id].fact;
    fact->kind = FER_KIND_TENSOR;
    fact->dtype = tensor->dtype;
    feri_sym dims[FER_MAX_RANK];
    for (uint32_t i = 0; i < tensor->rank; i++) {
        dims[i] = open_dims ? feri_sym_unknown() : feri_sym_number(tensor->dims[i]);
    }
    return feri_fact_set_dims(fact, &graph->bump, (int32_t)tensor->rank, dims);
}

static int is_wanted(const feri_gnode *node, uint32_t output) {
    return node->outputs == NULL || node->outputs[output] != FER_NO_VALUE;
}

/* A Constant is a value of the graph, no node. */
static fer_status constant_fill(fer_graph *graph, const feri_gnode *node) {
    fer_value_id value;
    const fer_node_desc desc = {.name = node->name,
                                .attrs = node->attrs,
                                .attr_count = node->attr_count,
                                .input_count = node->input_count,
                                .output_count = node->output_count};
    FER_TRY(feri_graph_add_constant_node(graph, &desc, &value));
    FER_TRY(feri_graph_append_output(graph, "", value));
    return fer_graph_finish(graph);
}

static fer_status graph_fill(fer_graph *graph, const eager_call *call, int open_dims) {
    feri_gnode copy = *call->node;
    fer_value_id in[MAX_OPERANDS], out[MAX_OPERANDS];
    if (strcmp(feri_op_name(copy.op), "Constant") == 0) {
        return constant_fill(graph, &copy);
    }
    if (copy.input_count > MAX_OPERANDS || copy.output_count > MAX_OPERANDS) {
        return feri_fail(
            FER_LIMIT, "more than %d operands of '%s'", MAX_OPERANDS, feri_op_name(copy.op));
    }
    for (uint32_t i = 0; i < copy.input_count; i++) {
        FER_TRY(operand_add(graph, call->inputs[i], open_dims, &in[i]));
    }
    for (uint32_t i = 0; i < copy.output_count; i++) {
        out[i] = FER_NO_VALUE;
        if (is_wanted(call->node, i)) {
            FER_TRY(feri_graph_new_value(graph, NULL, FERI_ORIGIN_NODE, &out[i]));
        }
    }
    copy.formal_count = copy.input_count;
    copy.inputs = in;
    copy.outputs = out;
    copy.source = 0;
    copy.host_only = 0; /* that was the caller's placement */
    graph->source_count = 1;
    FER_TRY(feri_graph_append_node(graph, &copy, NULL));
    for (uint32_t i = 0; i < copy.output_count; i++) {
        if (out[i] != FER_NO_VALUE) {
            FER_TRY(feri_graph_append_output(graph, "", out[i]));
        }
    }
    return fer_graph_finish(graph);
}

static fer_status program_make(const eager_call *call, int open_dims, fer_program **out_program) {
    if (call->node->body_count > 0) {
        return feri_fail(FER_UNSUPPORTED,
                         "'%s' has bodies and cannot run by itself",
                         feri_op_name(call->node->op));
    }
    fer_graph *graph = NULL;
    FER_TRY(feri_graph_create(feri_env_of(call->context), /*parent=*/NULL, &graph));
    fer_status status = graph_fill(graph, call, open_dims);
    fer_compile_options options = {
        .struct_size = sizeof(options), .devices = call->device->name, .state_count = 2};
    if (status == FER_OK) {
        status = fer_program_compile(call->context, graph, &options, out_program);
    }
    fer_graph_release(graph);
    return status;
}

/* Runs the program, which is released. */
static fer_status program_call(fer_program *program, const eager_call *call, fer_tensor **outputs) {
    fer_tensor *given[MAX_OPERANDS], *results[MAX_OPERANDS];
    uint32_t in = 0, out = 0;
    for (uint32_t i = 0; i < call->node->input_count; i++) {
        if (call->inputs[i] != NULL) {
            given[in++] = call->inputs[i];
        }
    }
    for (uint32_t i = 0; i < call->node->output_count; i++) {
        if (is_wanted(call->node, i)) {
            results[out++] = outputs[i];
        }
    }
    fer_status status = fer_program_run(program, NULL, given, in, results, out);
    out = 0;
    for (uint32_t i = 0; i < call->node->output_count && status == FER_OK; i++) {
        if (is_wanted(call->node, i)) {
            outputs[i] = results[out++];
        }
    }
    fer_program_release(program);
    return status;
}

/* ---- the evaluator ---- */

/* The first default device, or the last of those in host memory: that is the reference backend, for
 * the evaluator wants the oracle's numbers. */
static fer_status device_default(fer_context *context, int is_last, fer_device **out_device) {
    fer_device *found = NULL;
    FER_TRY(feri_devices_lock(context));
    for (fer_device *device = context->devices; device != NULL && (found == NULL || is_last);
         device = device->next) {
        if ((device->info.flags & FER_DEVICE_NEVER_DEFAULT) == 0 &&
            (!is_last || feri_device_is_host(device))) {
            found = device;
        }
    }
    pthread_mutex_unlock(&context->lock);
    *out_device = found;
    return found != NULL ? FER_OK
           : is_last ? feri_fail(FER_UNSUPPORTED, "no device in host memory evaluates constants")
                     : feri_fail(FER_NO_DEVICE, "there is no default device: name one");
}

fer_status feri_eager_run(fer_context *context,
                          const feri_gnode *node,
                          fer_tensor *const *inputs,
                          fer_tensor **outputs) {
    eager_call call = {context, NULL, node, inputs};
    fer_program *program = NULL;
    FER_TRY(device_default(context, /*is_last=*/1, &call.device));
    FER_TRY(program_make(&call, /*open_dims=*/0, &program));
    return program_call(program, &call, outputs);
}

/* ---- the cache ---- */

static void entry_clear(eager_entry *entry) {
    fer_program_release(entry->program);
    feri_text_finish(&entry->key);
}

static void cache_destroy(feri_env *env, void *object) {
    eager_cache *cache = object;
    for (uint32_t i = 0; i < CACHED_PROGRAMS; i++) {
        entry_clear(&cache->entries[i]);
    }
    pthread_mutex_destroy(&cache->lock);
    feri_free(env, cache, sizeof(*cache));
}

static fer_status cache_get(fer_context *context, eager_cache **out_cache) {
    fer_status status = FER_OK;
    pthread_mutex_lock(&context->lock);
    if (context->eager == NULL) {
        eager_cache *cache = feri_alloc(&context->env, sizeof(*cache));
        if (cache == NULL) {
            status = feri_error_status();
        } else {
            pthread_mutex_init(&cache->lock, NULL);
            context->eager_destroy = cache_destroy;
            context->eager = cache;
        }
    }
    *out_cache = context->eager;
    pthread_mutex_unlock(&context->lock);
    return status;
}

static void key_make(feri_text *key, const eager_call *call) {
    const feri_gnode *node = call->node;
    feri_text_add(key, "%s %u %u:", call->device->name, node->op->number, call->node->output_count);
    for (uint32_t i = 0; i < call->node->input_count; i++) {
        const fer_tensor *input = call->inputs[i];
        feri_text_add(key,
                      input == NULL ? "_," : "%d/%u,",
                      input == NULL ? 0 : input->dtype,
                      input == NULL ? 0 : input->rank);
    }
    for (uint32_t i = 0; i < node->attr_count; i++) {
        const fer_attr *attr = &node->attrs[i];
        const char *part;
        uint64_t bytes = 0;
        feri_text_add(key, "%s:%d:", attr->name, attr->type);
        for (uint32_t p = 0; (part = feri_attr_part(attr, p, &bytes)) != NULL; p++) {
            feri_text_add(key, "%llu=", (unsigned long long)bytes);
            feri_text_add_bytes(key, part, bytes);
        }
    }
}

/* The entry of the key, or the one that was not used for longest. */
static eager_entry *entry_find(eager_cache *cache, const feri_text *key, int *out_found) {
    eager_entry *found = cache->entries;
    *out_found = 0;
    for (uint32_t i = 0; i < CACHED_PROGRAMS && !*out_found; i++) {
        eager_entry *entry = &cache->entries[i];
        *out_found = entry->key.length == key->length &&
                     memcmp(entry->key.data, key->data, key->length) == 0;
        if (*out_found || entry->tick < found->tick) {
            found = entry;
        }
    }
    return found;
}

static const char op_run[] = "fer_op_run";

static fer_status program_cached(const eager_call *call, fer_program **out_program) {
    for (uint32_t i = 0; i < call->node->attr_count; i++) {
        FER_TRY(feri_graph_check_attr(&call->node->attrs[i], op_run, call->node->name));
    }
    for (uint32_t i = 0; i < call->node->attr_count; i++) {
        if (call->node->attrs[i].type == FER_ATTR_TENSOR) { /* contents are no key */
            return program_make(call, /*open_dims=*/1, out_program);
        }
    }
    eager_cache *cache = NULL;
    FER_TRY(cache_get(call->context, &cache));
    feri_text key;
    feri_text_init(&key, &call->context->env);
    key_make(&key, call);
    fer_status status = key.status;
    pthread_mutex_lock(&cache->lock);
    if (status == FER_OK) {
        int is_found = 0;
        eager_entry *entry = entry_find(cache, &key, &is_found);
        fer_program *made = NULL;
        if (!is_found && (status = program_make(call, /*open_dims=*/1, &made)) == FER_OK) {
            entry_clear(entry);
            entry->program = made;
            entry->key = key; /* moves */
            feri_text_init(&key, key.env);
        }
        if (status == FER_OK) {
            entry->tick = ++cache->tick;
            *out_program = fer_program_retain(entry->program);
        }
    }
    pthread_mutex_unlock(&cache->lock);
    feri_text_finish(&key);
    return status;
}

/* ---- the public call ---- */

fer_status fer_op_run(fer_context *context,
                      fer_device *device,
                      const char *domain,
                      const char *op_name,
                      const fer_attr *attrs,
                      uint32_t attr_count,
                      fer_tensor *const *inputs,
                      uint32_t input_count,
                      fer_tensor **outputs,
                      uint32_t output_count) {
    if (context == NULL || op_name == NULL || (inputs == NULL && input_count > 0) ||
        outputs == NULL || (attrs == NULL && attr_count > 0)) {
        return feri_null_argument("context, op, attributes, inputs or outputs");
    }
    const feri_op *op = NULL;
    FER_TRY(feri_op_find_for(domain == NULL ? "" : domain, op_name, op_run, &op));
    if (device == NULL) {
        FER_TRY(device_default(context, /*is_last=*/0, &device));
    }
    feri_gnode node = {.op = op,
                       .name = feri_op_name(op),
                       .revision = op->revision,
                       .attrs = (fer_attr *)(uintptr_t)attrs, /* read only */
                       .attr_count = attr_count,
                       .input_count = input_count,
                       .output_count = output_count};
    eager_call call = {context, device, &node, inputs};
    fer_program *program = NULL;
    feri_later_begin();
    fer_status status = program_cached(&call, &program);
    feri_later_end();
    return status == FER_OK ? program_call(program, &call, outputs) : status;
}
