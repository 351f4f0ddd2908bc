/* SPDX-License-Identifier: Apache-2.0
 *
 * What the caller of a compilation allows and fixes: devices in order, pins, shares, passes that
 * are off, dims by name. Everything is copied: the options are the caller's.
 */
#include "base/error.h"
#include "program.h"

#include <stddef.h>
#include <string.h>

enum { MAX_DEVICES = 64 };

static fer_status devices_named(fer_program *program, const char *names) {
    feri_policy *policy = &program->build.policy;
    const char *at = names;
    while (*at != 0) {
        size_t length = 0;
        for (int depth = 0; at[length] != 0 && (at[length] != ',' || depth > 0); length++) {
            depth += at[length] == '(' ? 1 : at[length] == ')' ? -1 : 0;
        }
        if (policy->device_count == MAX_DEVICES) {
            return feri_fail(
                FER_INVALID_ARGUMENT, "more than %d devices in '%s'", MAX_DEVICES, names);
        }
        char *name = feri_bump_strndup(&program->bump, at, length);
        if (name == NULL) {
            return feri_error_status();
        }
        fer_device *device = NULL;
        FER_TRY(fer_device_find(program->build.context, name, &device));
        fer_device_release(device); /* the program holds the context, and with it the device */
        policy->devices[policy->device_count++] = device;
        at += length + (at[length] == ',');
    }
    return FER_OK;
}

static fer_status devices_default(fer_program *program) {
    fer_context *context = program->build.context;
    feri_policy *policy = &program->build.policy;
    FER_TRY(feri_devices_lock(context));
    for (fer_device *device = context->devices;
         device != NULL && policy->device_count < MAX_DEVICES;
         device = device->next) {
        if ((device->info.flags & FER_DEVICE_NEVER_DEFAULT) == 0) {
            policy->devices[policy->device_count++] = device;
        }
    }
    pthread_mutex_unlock(&context->lock);
    return FER_OK;
}

/* The lists among the options: where rows and count are, the bytes of a row, the names it begins
 * with. */
#define LIST(member, count, row, names)                                                            \
    {                                                                                              \
        offsetof(fer_compile_options, member), offsetof(fer_compile_options, count), sizeof(row),  \
            names                                                                                  \
    }
static const struct {
    uint8_t rows_at, count_at, row_bytes, names;
} lists[] = {LIST(pins, pin_count, fer_pin, 2),
             LIST(shares, share_count, fer_share, 1),
             LIST(dims, dim_count, fer_dim_value, 1),
             LIST(passes_off, passes_off_count, char *, 1)};

/* Rows and names become copies of the program's. */
static fer_status list_copy(feri_bump *bump, fer_compile_options *options, size_t list) {
    size_t row_bytes = lists[list].row_bytes;
    const void *rows = NULL;
    uint32_t count = 0;
    memcpy(&rows, (char *)options + lists[list].rows_at, sizeof(rows));
    memcpy(&count, (char *)options + lists[list].count_at, sizeof(count));
    if (rows == NULL && count > 0) {
        return feri_null_argument("a list with a count in the compile options");
    }
    char *copy = feri_bump_array(bump, count, row_bytes);
    if (copy == NULL) {
        return feri_error_status();
    }
    if (count > 0) {
        memcpy(copy, rows, count * row_bytes);
    }
    memcpy((char *)options + lists[list].rows_at, &copy, sizeof(copy));
    for (; count > 0; count--, copy += row_bytes) {
        for (uint32_t n = 0; n < lists[list].names; n++) {
            const char **name = (const char **)(void *)copy + n;
            if (*name == NULL) {
                return feri_null_argument("a name in the compile options");
            }
            if ((*name = feri_bump_strndup(bump, *name, strlen(*name))) == NULL) {
                return feri_error_status();
            }
        }
    }
    return FER_OK;
}

fer_status feri_policy_fill(fer_program *program, fer_compile_options *options) {
    feri_build *build = &program->build;
    feri_policy *policy = &build->policy;
    for (size_t list = 0; list < sizeof(lists) / sizeof(lists[0]); list++) {
        FER_TRY(list_copy(&program->bump, options, list));
    }
    policy->pins = options->pins;
    policy->pin_count = options->pin_count;
    policy->shares = options->shares;
    policy->share_count = options->share_count;
    policy->fallback =
        options->fallback == FER_FALLBACK_DEFAULT ? FER_FALLBACK_WARN : options->fallback;
    build->passes.off = options->passes_off;
    build->passes.off_count = options->passes_off_count;
    build->dim_values = options->dims;
    build->dim_value_count = options->dim_count;
    policy->devices = FERI_BUMP_ARRAY(&program->bump, fer_device *, MAX_DEVICES);
    if (policy->devices == NULL) {
        return feri_error_status();
    }
    FER_TRY(options->devices != NULL ? devices_named(program, options->devices)
                                     : devices_default(program));
    if (policy->device_count == 0) {
        return feri_fail(
            FER_NO_DEVICE,
            "no device is allowed: name one, or register a backend that may be a default");
    }
    return FER_OK;
}

static int has_node(const fer_graph *graph, const char *name) {
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const feri_gnode *node = graph->nodes[n];
        if (strcmp(node->name, name) == 0) {
            return 1;
        }
        for (uint32_t b = 0; b < node->body_count; b++) { /* at most max_nesting deep */
            if (has_node(node->bodies[b], name)) {
                return 1;
            }
        }
    }
    return 0;
}

fer_status feri_policy_check(const fer_compile_options *options, const fer_graph *graph) {
    for (uint32_t i = 0; i < options->pin_count; i++) {
        const fer_pin *pin = &options->pins[i];
        if (strchr(pin->node, '*') == NULL && !has_node(graph, pin->node)) {
            return feri_fail(FER_INVALID_ARGUMENT,
                             "no node is called '%s', which is pinned to %s",
                             pin->node,
                             pin->device);
        }
    }
    for (uint32_t i = 0; i < options->passes_off_count; i++) {
        uint32_t pass = 0;
        while (pass < feri_pass_count &&
               strcmp(feri_pass_list[pass].name, options->passes_off[i]) != 0) {
            pass++;
        }
        if (pass == feri_pass_count) {
            return feri_fail(
                FER_INVALID_ARGUMENT, "there is no pass '%s' to skip", options->passes_off[i]);
        }
    }
    return FER_OK;
}

fer_status feri_dims_fix(fer_program *program, fer_graph *graph) {
    for (uint32_t d = 0; d < program->build.dim_value_count; d++) {
        const fer_dim_value *fixed = &program->build.dim_values[d];
        uint32_t uses = 0;
        for (uint32_t i = 0; i < graph->input_count; i++) {
            feri_fact *fact = &graph->values[graph->inputs[i]].fact;
            for (int32_t k = 0; k < fact->rank; k++) {
                uint32_t symbol = feri_terms_symbol_index(graph->terms, fact->dims[k]);
                if (symbol != UINT32_MAX &&
                    strcmp(feri_terms_symbol_name(graph->terms, symbol), fixed->name) == 0) {
                    fact->dims[k] = feri_sym_number(fixed->value);
                    uses++;
                }
            }
        }
        if (uses == 0 || fixed->value < 0) {
            return feri_fail(
                FER_INVALID_ARGUMENT,
                "dim '%s' = %lld: no input has a dim of that name, or the number is negative",
                fixed->name,
                (long long)fixed->value);
        }
    }
    return FER_OK;
}
