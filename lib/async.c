/* SPDX-License-Identifier: Apache-2.0
 *
 * Asynchronous runs: a job of the context's workers, and the event that owns its outcome.
 */
#include "base/condition.h"
#include "base/error.h"
#include "base/workers.h"
#include "program.h"

#include <string.h>

struct fer_event {
    feri_job job; /* first: the job is the event */
    atomic_uint refs;
    fer_status status;    /* FER_NOT_READY until done */
    fer_program *program; /* retained */
    uint32_t input_count;
    uint32_t output_count;
    fer_ready_fn ready;
    void *ready_self;
    uint64_t submitted_ns;
    uint64_t bytes; /* of the event, with args and the copied arrays of the options */
    pthread_mutex_t lock;
    pthread_cond_t done;
    feri_request request;
    fer_error error;
    feri_arg args[]; /* inputs, then outputs; tensors retained; behind them tags, donated and the
                        tags' texts */
};

static void event_destroy(fer_event *event) {
    fer_program *program = event->program;
    for (uint32_t i = 0; i < event->input_count + event->output_count; i++) {
        feri_arg_release(&event->args[i]);
    }
    fer_state_release(event->request.options.state);
    pthread_cond_destroy(&event->done);
    pthread_mutex_destroy(&event->lock);
    feri_free(program->build.env, event, event->bytes);
    fer_program_release(program);
}

fer_event *fer_event_retain(fer_event *event) {
    if (event != NULL) {
        atomic_fetch_add_explicit(&event->refs, 1, memory_order_relaxed);
    }
    return event;
}

void fer_event_release(fer_event *event) {
    if (event != NULL && atomic_fetch_sub_explicit(&event->refs, 1, memory_order_acq_rel) == 1) {
        event_destroy(event);
    }
}

static void job_run(feri_job *job) {
    fer_event *event = (fer_event *)job;
    /* What was bound is ours to release, and stays the run's when it fails. */
    event->request.queue_ns = feri_clock_ns() - event->submitted_ns;
    fer_status status = feri_program_run_args(
        event->program, &event->request, event->args, event->args + event->input_count);
    pthread_mutex_lock(&event->lock);
    if (status != FER_OK) {
        feri_error_save(&event->error);
    }
    event->status = status;
    fer_ready_fn ready = event->ready;
    void *self = event->ready_self;
    pthread_cond_broadcast(&event->done);
    pthread_mutex_unlock(&event->lock);
    if (ready != NULL) {
        ready(self, status);
    }
    fer_event_release(event);
}

/* An array of the options, copied to *at, which it moves behind the copy. */
static void *copied(void **at, const void *array, uint64_t bytes) {
    if (array == NULL) {
        return NULL;
    }
    void *copy = memcpy(*at, array, bytes);
    *at = (char *)copy + bytes;
    return copy;
}

static uint64_t text_bytes(const char *text) { return text != NULL ? strlen(text) + 1 : 0; }

/* Of all that event_fill copies behind the args. */
static uint64_t options_bytes(const fer_run_options *options) {
    uint64_t bytes =
        options->tag_count * sizeof(fer_tag) + options->donated_count * sizeof(uint32_t);
    for (uint32_t i = 0; i < options->tag_count; i++) {
        bytes += text_bytes(options->tags[i].key) + text_bytes(options->tags[i].value);
    }
    return bytes;
}

static void event_fill(fer_event *event,
                       const feri_request *request,
                       fer_tensor *const *inputs,
                       fer_tensor *const *outputs) {
    fer_run_options *options = &event->request.options;
    void *behind = event->args + event->input_count + event->output_count;
    event->request = *request;
    fer_tag *tags = copied(&behind, options->tags, options->tag_count * sizeof(fer_tag));
    options->tags = tags;
    options->donated = copied(&behind, options->donated, options->donated_count * sizeof(uint32_t));
    for (uint32_t i = 0; i < options->tag_count; i++) {
        tags[i].key = copied(&behind, tags[i].key, text_bytes(tags[i].key));
        tags[i].value = copied(&behind, tags[i].value, text_bytes(tags[i].value));
    }
    fer_state_retain(options->state);
    for (uint32_t i = 0; i < event->input_count; i++) {
        event->args[i].tensor = fer_tensor_retain(inputs[i]);
    }
    for (uint32_t i = 0; i < event->output_count && outputs != NULL; i++) {
        event->args[event->input_count + i].tensor = fer_tensor_retain(outputs[i]);
    }
    pthread_mutex_init(&event->lock, NULL);
    feri_condition_init(&event->done);
}

fer_status fer_program_run_async(fer_program *program,
                                 const fer_run_options *given,
                                 fer_tensor *const *inputs,
                                 uint32_t input_count,
                                 fer_tensor *const *outputs,
                                 uint32_t output_count,
                                 fer_event **out_event) {
    feri_request request;
    FER_TRY(feri_request_fill(
        &request, program, given, inputs, input_count, /*outputs: may be NULL*/ "", output_count));
    if (out_event == NULL) {
        return feri_null_argument("out_event");
    }
    feri_env *env = program->build.env;
    uint64_t bytes = sizeof(fer_event) + ((uint64_t)input_count + output_count) * sizeof(feri_arg) +
                     options_bytes(&request.options);
    fer_event *event = feri_alloc(env, bytes);
    if (event == NULL) {
        return feri_error_status();
    }
    atomic_init(&event->refs, 2); /* the caller's and the job's */
    event->job.run = job_run;
    event->program = fer_program_retain(program);
    event->bytes = bytes;
    event->input_count = input_count;
    event->output_count = output_count;
    event->status = FER_NOT_READY;
    event->submitted_ns = feri_clock_ns();
    event_fill(event, &request, inputs, outputs);
    fer_status status = feri_workers_submit(env->workers, &event->job);
    if (status != FER_OK) {
        event_destroy(event);
        return status;
    }
    *out_event = event;
    return FER_OK;
}

/* ---- the event's outcome ---- */

fer_status fer_event_query(fer_event *event) { return fer_event_wait(event, 0); }

fer_status fer_event_wait(fer_event *event, uint64_t timeout_ns) {
    if (event == NULL) {
        return feri_null_argument("event");
    }
    uint64_t until_ns = timeout_ns == 0 ? 0 : feri_add_sat(feri_clock_ns(), timeout_ns);
    pthread_mutex_lock(&event->lock);
    while (event->status == FER_NOT_READY && until_ns > 0 && feri_clock_ns() < until_ns) {
        feri_condition_wait(&event->done, &event->lock, until_ns);
    }
    fer_status status = event->status;
    if (status != FER_OK && status != FER_NOT_READY) {
        feri_error_restore(&event->error);
    }
    pthread_mutex_unlock(&event->lock);
    return status;
}

fer_status fer_event_on_ready(fer_event *event, fer_ready_fn ready, void *ready_self) {
    if (event == NULL || ready == NULL) {
        return feri_null_argument("event or ready");
    }
    pthread_mutex_lock(&event->lock);
    fer_status status = event->status;
    int is_taken = event->ready != NULL;
    if (!is_taken) {
        event->ready = ready;
        event->ready_self = ready_self;
    }
    pthread_mutex_unlock(&event->lock);
    if (is_taken) {
        return feri_fail(FER_INVALID_ARGUMENT, "the event has a callback already");
    }
    if (status != FER_NOT_READY) {
        ready(ready_self, status);
    }
    return FER_OK;
}

fer_status fer_event_output(fer_event *event, uint32_t index, fer_tensor **out_tensor) {
    if (event == NULL || out_tensor == NULL || index >= event->output_count) {
        return feri_fail(FER_INVALID_ARGUMENT, "no output %u", index);
    }
    FER_TRY(fer_event_query(event));
    fer_tensor *tensor = event->args[event->input_count + index].tensor;
    if (tensor == NULL) {
        return feri_fail(
            FER_INVALID_ARGUMENT, "output %u is not a tensor: use fer_program_run_values", index);
    }
    *out_tensor = fer_tensor_retain(tensor);
    return FER_OK;
}
