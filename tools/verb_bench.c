/* SPDX-License-Identifier: Apache-2.0
 *
 * `ferrule bench MODEL`: load, compile and first run once each, then runs with bound outputs and a
 * caller-owned record for --seconds; minimum and percentiles of what each run took.
 */
#include "command.h"

#include <stdlib.h>
#include <sys/resource.h>

#define SAMPLE_CAPACITY 1000000

typedef struct bench {
    session session;
    feeds feeds;
    fer_value **outputs;
    uint32_t output_count;
    double *samples;
    uint32_t sample_count;
    uint64_t runs;
    double first_ms;
    fer_run_record record;
} bench;

/* Only tensors of numbers can be bound: what else a run made, the next makes anew. */
static void unbind_others(bench *self) {
    for (uint32_t i = 0; i < self->output_count; i++) {
        const fer_tensor *tensor = fer_value_tensor(self->outputs[i]);
        if (tensor == NULL || fer_tensor_dtype(tensor) == FER_STRING) {
            fer_value_release(self->outputs[i]);
            self->outputs[i] = NULL;
        }
    }
}

static fer_status run_once(bench *self, const fer_run_options *options, double *out_ms) {
    unbind_others(self);
    double begin = now_ms();
    fer_status status = fer_program_run_values(self->session.program,
                                               options,
                                               self->feeds.values,
                                               self->feeds.count,
                                               self->outputs,
                                               self->output_count);
    *out_ms = now_ms() - begin;
    return status;
}

static int measure_runs(bench *self) {
    const arguments *args = self->session.args;
    self->output_count = fer_program_output_count(self->session.program);
    self->outputs = calloc(self->output_count + 1, sizeof *self->outputs);
    self->samples = malloc(SAMPLE_CAPACITY * sizeof *self->samples);
    if (self->outputs == NULL || self->samples == NULL) {
        return complain(EXIT_LIMIT, "OUT_OF_MEMORY", "no memory for the samples");
    }
    fer_run_options options;
    self->record.struct_size = sizeof self->record;
    session_run_options(&self->session, &options, &self->record);
    /* The first run makes the outputs that all others write into. */
    fer_status status = run_once(self, &options, &self->first_ms);
    double begin = now_ms(), warm_until = begin + 100 * args->seconds;
    while (status == FER_OK) {
        double took;
        status = run_once(self, &options, &took);
        double now = now_ms();
        if (now < warm_until) {
            continue;
        }
        self->samples[self->sample_count % SAMPLE_CAPACITY] = took;
        self->sample_count += self->sample_count < SAMPLE_CAPACITY;
        self->runs++;
        if (now - begin > 1100 * args->seconds || self->sample_count == SAMPLE_CAPACITY) {
            break;
        }
    }
    return status == FER_OK ? EXIT_RIGHT : fail_with(args, status);
}

static int by_size(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double percentile(const bench *self, double share) {
    return self->samples[(uint32_t)(share * (self->sample_count - 1))];
}

static void report_bench(bench *self) {
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    int64_t peak = (int64_t)usage.ru_maxrss * 1024;
    qsort(self->samples, self->sample_count, sizeof *self->samples, by_size);
    if (!self->session.args->json) {
        printf("load %.2f ms   compile %.2f   first %.3f   min %.4f   p50 %.4f   p90 %.4f   p99 "
               "%.4f   runs %llu   peak RSS %.1f MB\n",
               self->session.load_ms,
               self->session.compile_ms,
               self->first_ms,
               self->samples[0],
               percentile(self, 0.5),
               percentile(self, 0.9),
               percentile(self, 0.99),
               (unsigned long long)self->runs,
               (double)peak / 1e6);
        return;
    }
    json out;
    json_begin(&out, stdout);
    json_open(&out, NULL, '{');
    json_text(&out, "model", self->session.args->model);
    json_number(&out, "load_ms", self->session.load_ms);
    json_number(&out, "compile_ms", self->session.compile_ms);
    json_number(&out, "first_ms", self->first_ms);
    json_number(&out, "min_ms", self->samples[0]);
    json_number(&out, "p50_ms", percentile(self, 0.5));
    json_number(&out, "p90_ms", percentile(self, 0.9));
    json_number(&out, "p99_ms", percentile(self, 0.99));
    json_integer(&out, "runs", (int64_t)self->runs);
    json_integer(&out, "peak_rss_bytes", peak);
    json_integer(&out, "poll_count", (int64_t)self->record.poll_count);
    json_close(&out, '}');
    json_end(&out);
}

int verb_bench(const arguments *args) {
    bench self = {0};
    int result = session_open(&self.session, args);
    if (result == EXIT_RIGHT) {
        result = session_import(&self.session);
    }
    if (result == EXIT_RIGHT) {
        result = session_compile(&self.session);
    }
    if (result == EXIT_RIGHT) {
        result = feeds_make(&self.session, &self.feeds);
    }
    if (result == EXIT_RIGHT) {
        result = measure_runs(&self);
    }
    if (result == EXIT_RIGHT) {
        report_bench(&self);
    }
    for (uint32_t i = 0; i < self.output_count && self.outputs != NULL; i++) {
        fer_value_release(self.outputs[i]);
    }
    free((void *)self.outputs);
    free(self.samples);
    feeds_finish(&self.feeds);
    session_close(&self.session);
    return result;
}
