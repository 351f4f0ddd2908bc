/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs one case on the device: builds its graph, compiles it so that placement tells native,
 * expanded and assisted apart, runs it and holds the outputs against the oracle. The oracle of an
 * op is straight from the specification where the generator has one; else ref, and for ref itself
 * the same graph on inputs widened to f64.
 */
#include "abi.h"
#include "command.h"
#include "verdict.h"

#include <malloc.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

fer_status runner_open(runner *self, const char *device) {
    memset(self, 0, sizeof *self);
    (void)snprintf(
        self->device, sizeof self->device, "%s%s", device, strchr(device, ':') == NULL ? ":0" : "");
    self->is_oracle = strcmp(self->device, "ref:0") == 0;
    fer_context_options options = {.struct_size = sizeof options, .thread_count = 1};
    fer_status status = fer_context_create(&options, &self->context);
    if (status == FER_OK) {
        fer_device *found = NULL;
        status = fer_device_find(self->context, self->device, &found);
        self->device_handle = found;
    }
    return status;
}

/* Within the device's claims? Without a list every refusal is one claim less. */
static int is_claimed(runner *self, const op_row *op) {
    uint32_t revision = 0;
    return fer_device_op_claim(self->device_handle, op->number, &revision) == FER_OK &&
           revision != 0 && revision != UINT32_MAX;
}

void runner_close(runner *self) {
    free(self->abi);
    fer_device_release(self->device_handle);
    fer_context_release(self->context);
    self->context = NULL;
}

/* ---- building ---- */

static fer_status add_inputs(const trial *self, built_case *out, fer_value_id *ids) {
    for (uint32_t i = 0; i < self->input_count; i++) {
        const case_input *input = &self->inputs[i];
        fer_status status = FER_OK;
        ids[i] = FER_NO_VALUE;
        if (!input->is_present) {
            continue;
        }
        if (input->is_constant) {
            status = fer_graph_add_constant(out->graph, input->name, input->tensor, &ids[i]);
        } else {
            status = fer_graph_add_input(
                out->graph, input->name, input->dtype, input->rank, input->dims, NULL, &ids[i]);
            if (status == FER_OK) {
                status = fer_value_from_tensor(input->tensor, &out->inputs[out->input_count]);
                out->input_count += status == FER_OK;
            }
        }
        if (status != FER_OK) {
            return status;
        }
    }
    return FER_OK;
}

typedef struct model_bytes {
    char *data;
    size_t length, capacity;
    int failed;
} model_bytes;

static int32_t keep_bytes(void *self, const char *text, size_t length) {
    model_bytes *bytes = self;
    if (bytes->length + length > bytes->capacity) {
        size_t capacity = 2 * (bytes->length + length);
        char *grown = realloc(bytes->data, capacity);
        bytes->failed |= grown == NULL;
        if (grown == NULL) {
            return 1;
        }
        bytes->data = grown;
        bytes->capacity = capacity;
    }
    memcpy(bytes->data + bytes->length, text, length);
    bytes->length += length;
    return 0;
}

/* Writes the graph as a model and takes what importing makes of it. */
static fer_status import_again(fer_context *context, built_case *out) {
    model_bytes bytes = {0};
    fer_graph *graph = NULL;
    fer_status status = fer_graph_write_onnx(out->graph, keep_bytes, &bytes);
    if (status == FER_OK) {
        status = bytes.failed ? FER_OUT_OF_MEMORY
                              : fer_graph_import_memory(
                                    context, bytes.data, bytes.length, NULL, NULL, NULL, &graph);
    }
    free(bytes.data);
    if (status == FER_OK) {
        fer_graph_release(out->graph);
        out->graph = graph;
    }
    return status;
}

fer_status case_build(const trial *self, fer_context *context, built_case *out) {
    fer_value_id ids[CASE_INPUTS], outputs[CASE_OUTPUTS];
    memset(out, 0, sizeof *out);
    if (self->row->make != NULL) {
        return self->row->make(self, context, &out->graph, out->inputs, &out->input_count);
    }
    fer_status status = fer_graph_create(context, &out->graph);
    if (status == FER_OK) {
        status = add_inputs(self, out, ids);
    }
    if (status == FER_OK) {
        status = self->row->build != NULL
                     ? self->row->build(self, out->graph, context, ids, outputs)
                     : trial_node(self, context, out->graph, ids, NULL, 0, outputs);
    }
    for (uint32_t i = 0; status == FER_OK && i < self->output_count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "out%u", i);
        status = fer_graph_add_output(out->graph, name, outputs[i]);
    }
    if (status == FER_OK) {
        status = fer_graph_finish(out->graph);
    }
    return status == FER_OK && (self->row->flags & ROW_IMPORTED) != 0 ? import_again(context, out)
                                                                      : status;
}

void built_finish(built_case *self) {
    for (uint32_t i = 0; i < self->input_count; i++) {
        fer_value_release(self->inputs[i]);
    }
    fer_graph_release(self->graph);
    memset(self, 0, sizeof *self);
}

/* ---- one run ---- */

typedef struct one_run {
    fer_program *program;
    fer_value *outputs[CASE_OUTPUTS];
    uint32_t output_count;
} one_run;

static void one_finish(one_run *self) {
    for (uint32_t i = 0; i < self->output_count; i++) {
        fer_value_release(self->outputs[i]);
    }
    fer_program_release(self->program);
    memset(self, 0, sizeof *self);
}

static fer_status one_go(fer_context *context,
                         const char *devices,
                         const built_case *built,
                         uint32_t output_count,
                         double timeout_s,
                         one_run *out) {
    memset(out, 0, sizeof *out);
    fer_compile_options compile = {
        .struct_size = sizeof compile, .fallback = FER_FALLBACK_ALLOW, .devices = devices};
    fer_status status = fer_program_compile(context, built->graph, &compile, &out->program);
    if (status != FER_OK) {
        return status;
    }
    fer_run_options options = {.struct_size = sizeof options,
                               .deadline_ns = (uint64_t)(timeout_s * 0.9e9)};
    fer_value *inputs[CASE_INPUTS];
    uint32_t count = fer_program_input_count(out->program);
    for (uint32_t i = 0; i < count && i < built->input_count; i++) {
        inputs[i] = built->inputs[i];
    }
    out->output_count = output_count;
    return fer_program_run_values(
        out->program, &options, inputs, count, out->outputs, output_count);
}

fer_status
case_expect(runner *self, const trial *of, const built_case *built, fer_value **out_outputs) {
    one_run run;
    fer_status status =
        one_go(self->context, "ref:0", built, of->output_count, self->timeout_s, &run);
    for (uint32_t i = 0; status == FER_OK && i < of->output_count; i++) {
        out_outputs[i] = fer_value_retain(run.outputs[i]);
    }
    one_finish(&run);
    return status;
}

/* Where the nodes ran. reason: what the device said of those it did not take. */
static int32_t where_ran(const runner *self, fer_program *program, char *reason, size_t capacity) {
    uint64_t count = 0, native = 0, expanded = 0, elsewhere = 0;
    reason[0] = '\0';
    if (fer_program_placement_count(program, &count) != FER_OK) {
        return RAN_NOWHERE;
    }
    for (uint64_t i = 0; i < count; i++) {
        fer_placement line = {.struct_size = sizeof line};
        if (fer_program_placement(program, i, &line) != FER_OK ||
            strcmp(line.device, "host") == 0 || strcmp(line.device, "folded") == 0) {
            continue;
        }
        if (line.reason[0] != '\0' && reason[0] == '\0') {
            (void)snprintf(reason, capacity, "%s", line.reason);
        }
        if (strcmp(line.device, self->device) != 0) {
            elsewhere++;
        } else if (line.part_count > 1 || line.reason[0] != '\0') {
            expanded++;
        } else {
            native++;
        }
    }
    return elsewhere > 0  ? (native + expanded > 0 ? RAN_ASSISTED : RAN_NOWHERE)
           : expanded > 0 ? RAN_EXPANDED
           : native > 0   ? RAN_NATIVE
                          : RAN_HOST;
}

/* ---- oracles ---- */

static int by_scalar(const trial *self, const one_run *run, verdict *out) {
    nd in[CASE_INPUTS], want[CASE_OUTPUTS];
    memset(want, 0, sizeof want);
    for (uint32_t i = 0; i < CASE_INPUTS; i++) {
        in[i] = i < self->input_count ? self->inputs[i].number : (nd){0};
    }
    if (!self->row->oracle(self, in, want)) {
        return 0;
    }
    (void)snprintf(out->oracle, sizeof out->oracle, "scalar");
    for (uint32_t i = 0; i < run->output_count && out->result != RESULT_FAIL; i++) {
        if (want[i].v != NULL) {
            judge_value(self, i, run->outputs[i], &want[i], out);
        }
    }
    return 1;
}

static void by_values(
    const trial *self, const one_run *run, const one_run *right, double factor, verdict *out) {
    for (uint32_t i = 0; i < run->output_count && out->result != RESULT_FAIL; i++) {
        fer_tensor *got = fer_value_tensor(run->outputs[i]),
                   *want = fer_value_tensor(right->outputs[i]);
        if (got != NULL && want != NULL) {
            judge_tensors(self, i, got, want, factor, out);
            continue;
        }
        agreement found = {0};
        if (!values_agree(run->outputs[i], right->outputs[i], 1e-5, 1e-7, &found)) {
            out->result = RESULT_FAIL;
            (void)snprintf(
                out->sentence, sizeof out->sentence, "output %u: %.250s", i, found.sentence);
        }
    }
}

static int by_ref(const runner *self,
                  const trial *of,
                  const built_case *built,
                  const one_run *run,
                  verdict *out) {
    one_run right;
    fer_status status =
        one_go(self->context, "ref:0", built, of->output_count, self->timeout_s, &right);
    if (status == FER_OK) {
        (void)snprintf(out->oracle, sizeof out->oracle, "ref");
        by_values(of, run, &right, 2, out);
    }
    one_finish(&right);
    return status == FER_OK;
}

/* The same case with floats as f64, where the schema allows it. */
static int widen(trial *self, fer_context *context) {
    int changed = 0;
    for (uint32_t i = 0; i < self->input_count; i++) {
        case_input *input = &self->inputs[i];
        fer_tensor *wide = NULL;
        if (!input->is_present ||
            (input->dtype != FER_F32 && input->dtype != FER_F16 && input->dtype != FER_BF16)) {
            continue;
        }
        if (fer_tensor_create(context, FER_F64, input->rank, input->dims, &wide) != FER_OK) {
            return 0;
        }
        for (uint64_t k = 0; k < fer_tensor_element_count(wide); k++) {
            number_set(FER_F64,
                       fer_tensor_data(wide),
                       k,
                       number_get(input->dtype, fer_tensor_data(input->tensor), k));
        }
        fer_tensor_release(input->tensor);
        input->tensor = wide;
        input->dtype = FER_F64;
        changed = 1;
    }
    return changed;
}

static int by_widened(const runner *self, const trial *narrow, const one_run *run, verdict *out) {
    static trial wide;
    built_case built = {0};
    one_run right = {0};
    int known = 0;
    if (trial_parse(&wide, narrow->name) && trial_values(&wide, self->context) == FER_OK &&
        widen(&wide, self->context) && case_build(&wide, self->context, &built) == FER_OK &&
        one_go(
            self->context, self->device, &built, narrow->output_count, self->timeout_s, &right) ==
            FER_OK) {
        (void)snprintf(out->oracle, sizeof out->oracle, "widened");
        by_values(narrow, run, &right, 4, out);
        known = 1;
    }
    one_finish(&right);
    built_finish(&built);
    trial_finish(&wide);
    return known;
}

static void judge_run(const runner *self,
                      const trial *of,
                      const built_case *built,
                      const one_run *run,
                      verdict *out) {
    out->result = RESULT_PASS;
    if (of->row->judge != NULL) {
        fer_tensor *tensors[CASE_OUTPUTS];
        for (uint32_t i = 0; i < run->output_count; i++) {
            tensors[i] = fer_value_tensor(run->outputs[i]);
        }
        (void)snprintf(out->oracle, sizeof out->oracle, "judge");
        if (!of->row->judge(of, tensors, out->sentence, sizeof out->sentence)) {
            out->result = RESULT_FAIL;
        }
        return;
    }
    if ((of->row->oracle != NULL && by_scalar(of, run, out)) ||
        (!self->is_oracle ? by_ref(self, of, built, run, out) : by_widened(self, of, run, out))) {
        return;
    }
    (void)snprintf(out->oracle, sizeof out->oracle, "none");
    out->result = RESULT_MISTRUSTED;
    (void)snprintf(
        out->sentence, sizeof out->sentence, "it ran, but there is nothing to compare with");
}

/* ---- a case ---- */

static void say_error(verdict *out, int32_t result, fer_status status) {
    out->result = result;
    (void)snprintf(out->sentence,
                   sizeof out->sentence,
                   "%s: %.250s",
                   fer_status_name(status),
                   fer_error_last()->message);
}

static void run_trial(runner *self, const trial *of, verdict *out) {
    built_case built;
    one_run run = {0};
    char devices[96], reason[200] = "";
    fer_status status = case_build(of, self->context, &built);
    (void)snprintf(devices, sizeof devices, "%s%s", self->device, self->is_oracle ? "" : ",ref:0");
    if (status == FER_OK) {
        status = one_go(self->context, devices, &built, of->output_count, self->timeout_s, &run);
    }
    if (run.program != NULL) {
        out->ran = where_ran(self, run.program, reason, sizeof reason);
    }
    if (status == FER_UNSUPPORTED || status == FER_PLACEMENT) {
        say_error(out, RESULT_UNSUPPORTED, status);
    } else if (status != FER_OK) {
        say_error(out, status == FER_DEADLINE ? RESULT_TIMEOUT : RESULT_FAIL, status);
    } else if (out->ran == RAN_NOWHERE) {
        out->result = is_claimed(self, of->op) ? RESULT_UNSUPPORTED : RESULT_NOT_CLAIMED;
        (void)snprintf(out->sentence, sizeof out->sentence, "%s", reason);
    } else if (out->ran == RAN_HOST && !self->is_oracle) {
        out->result = RESULT_NOT_CLAIMED;
        (void)snprintf(
            out->sentence, sizeof out->sentence, "the host runs it, whatever the device");
    } else {
        judge_run(self, of, &built, &run, out);
    }
    one_finish(&run);
    built_finish(&built);
}

/* A run that lost its device goes on elsewhere, which proves nothing of the device. The next case
 * finds it opened anew, or is told so too. */
static void judge_loss(runner *self, verdict *out) {
    fer_device_info info = {.struct_size = sizeof info};
    const fer_error *last = fer_error_last();
    if (self->device_handle == NULL || fer_device_get_info(self->device_handle, &info) != FER_OK ||
        info.state != FER_STATE_LOST) {
        return;
    }
    if (out->result != RESULT_FAIL) {
        out->result = RESULT_FAIL;
        (void)snprintf(out->sentence,
                       sizeof out->sentence,
                       "the device was lost: %.250s",
                       last->status == FER_DEVICE_LOST ? last->message : "it said no more");
    }
    if (fer_device_reopen(self->device_handle) != FER_OK) {
        return; /* it stays lost */
    }
}

static double clock_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static void run_named(runner *self, const char *name, verdict *out) {
    static trial of;
    memset(out, 0, sizeof *out);
    if (strncmp(name, "vector:", 7) == 0) {
        (void)vector_run(self, name + 7, out);
        judge_loss(self, out);
        return;
    }
    if (strncmp(name, "abi/", 4) == 0) {
        abi_run(self, name + 4, out);
        return;
    }
    if (!trial_parse(&of, name)) {
        out->result = RESULT_FAIL;
        (void)snprintf(out->sentence, sizeof out->sentence, "%.299s", of.sentence);
        return;
    }
    fer_status status = trial_values(&of, self->context);
    if (status != FER_OK) {
        say_error(out, RESULT_FAIL, status);
    } else {
        run_trial(self, &of, out);
        judge_loss(self, out);
    }
    trial_finish(&of);
}

static size_t bytes_in_use(void) {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
#else
    return 0;
#endif
}

void runner_run(runner *self, const char *name, verdict *out) {
    double begin = clock_ms();
    size_t before = bytes_in_use();
    /* Threads that meet in malloc get arenas of it: no leak, and there are more at every run. */
    int watches =
        self->watches_heap && (strncmp(name, "abi/", 4) != 0 || strstr(name, "/eight-") == NULL);
    run_named(self, name, out);
    out->ms = clock_ms() - begin;
    /* What grows at every repetition is a leak; what grows once is a cache. */
    size_t after = bytes_in_use();
    for (int again = 0; again < 3; again++) {
        if (after <= before || out->result != RESULT_PASS || !watches) {
            return;
        }
        verdict repeated;
        before = after;
        run_named(self, name, &repeated);
        after = bytes_in_use();
        if (repeated.result != RESULT_PASS) { /* it passes only sometimes */
            *out = repeated;
            return;
        }
    }
    if (after > before) {
        out->result = RESULT_FAIL;
        (void)snprintf(
            out->sentence, sizeof out->sentence, "%zu bytes are lost at every run", after - before);
    }
}
