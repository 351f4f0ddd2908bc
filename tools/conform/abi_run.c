/* SPDX-License-Identifier: Apache-2.0
 *
 * Attacks on instances and runs: wrong memory, other shapes, cancelled runs, arguments of other
 * sizes. After each refusal a right run must be right.
 */
#include "abi.h"

#include <string.h>

/* Runs with args that must be refused, then as it should be. */
static void refuse_run(abi_all *all, fer_run_args args, const char *what) {
    abi *self = all->life.suite;
    abi_ok(self, abi_exec_feed(&all->exec, 3), "filling the inputs");
    abi_said_reset();
    abi_refused(self, abi_exec_go(&all->exec, &args), what);
    if (all->exec.stream != NULL) { /* a stream that has failed is done with */
        abi_exec_finish(&all->exec);
        abi_exec_make(&all->life, &all->graph, &all->exec);
    }
    abi_exec_must(&all->exec, 4);
}

/* ---- kinds of graphs ---- */

static void run_kind(abi *self, int32_t kind) {
    abi_all all;
    abi_all_open(self, kind, &all);
    for (uint64_t seed = 1; seed < 6; seed++) {
        abi_exec_must(&all.exec, seed);
    }
    abi_all_close(&all);
}

static void run_again(abi *self) { run_kind(self, ABI_PLAIN); }
static void run_constant(abi *self) { run_kind(self, ABI_CONSTANT); }
static void run_chain(abi *self) { run_kind(self, ABI_CHAIN); }
static void run_empty(abi *self) { run_kind(self, ABI_EMPTY); }
static void run_scalar(abi *self) { run_kind(self, ABI_SCALAR); }
static void run_deep(abi *self) { run_kind(self, ABI_DEEP); }
static void run_long(abi *self) { run_kind(self, ABI_LONG); }

/* Level 0's run works also where instances are there. */
static void run_core(abi *self) {
    abi_all all;
    abi_all_open(self, ABI_CONSTANT, &all);
    for (uint64_t seed = 1; seed < 4; seed++) {
        abi_ok(self, abi_exec_feed(&all.exec, seed), "filling the inputs");
        fer_run_args args = abi_exec_args(&all.exec);
        args.stream = NULL;
        abi_ok(self,
               all.life.m->core->run(all.life.device, all.exec.exec, &args),
               "core's run of an exec");
        abi_ok(self, abi_exec_check(&all.exec, seed), "reading the output");
        if (all.exec.wrong[0] != '\0') {
            abi_fail(self, "core's run: %s", all.exec.wrong);
        }
    }
    abi_exec_must(&all.exec, 9);
    abi_all_close(&all);
}

/* ---- dims at the run ---- */

static void run_dims(abi *self) {
    static const int64_t rows[] = {5, 1, 40, 5, 39, 2};
    abi_all all;
    abi_all_open(self, ABI_DYNAMIC, &all);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        all.exec.dim_values[0] = rows[i];
        all.exec.dims_id = (uint64_t)rows[i] * 1000;
        abi_exec_must(&all.exec, i);
        abi_exec_must(&all.exec, i + 10);
    }
    abi_all_close(&all);
}

static void run_dims_beyond(abi *self) {
    static const int64_t rows[] = {41, 0, -1, INT64_MIN, INT64_MAX};
    abi_all all;
    abi_all_open(self, ABI_DYNAMIC, &all);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fer_run_args args = abi_exec_args(&all.exec);
        args.dim_values = &rows[i];
        args.dims_id = 77 + i;
        refuse_run(&all, args, "a run with a dim beyond its bounds");
    }
    abi_all_close(&all);
}

/* out_dims is written for what depends on the data, and there alone. */
static void run_out_dims(abi *self) {
    enum { SIDE = ABI_SIDE, COUNT = SIDE * SIDE, UNTOUCHED = -77 };
    abi_all all;
    abi_life_open(self, &all.life);
    abi_graph_nonzero(&all.life, &all.graph);
    abi_exec_make(&all.life, &all.graph, &all.exec);
    abi_mem_give(&all.life, &all.exec.outputs[0]); /* made for f32 */
    abi_ok(self, abi_mem_take(&all.life, 2 * COUNT * 8, &all.exec.outputs[0]), "memory");
    for (uint64_t nonzeros = 0; nonzeros <= COUNT; nonzeros += 5) {
        int64_t dims[2][FER_MAX_RANK], found[2 * COUNT];
        float numbers[COUNT] = {0};
        for (uint64_t i = 0; i < nonzeros; i++) {
            numbers[i * 7 % COUNT] = 1;
        }
        for (uint32_t i = 0; i < 2 * FER_MAX_RANK; i++) {
            dims[i / FER_MAX_RANK][i % FER_MAX_RANK] = UNTOUCHED;
        }
        abi_ok(self,
               abi_mem_write(&all.life, &all.exec.inputs[0], numbers, sizeof numbers),
               "filling the input");
        fer_run_args args = abi_exec_args(&all.exec);
        args.out_dims = dims;
        abi_ok(self, abi_exec_go(&all.exec, &args), "a run of NonZero");
        if (dims[0][0] != 2 || dims[0][1] != (int64_t)nonzeros || dims[1][0] != UNTOUCHED) {
            abi_fail(self,
                     "of %llu numbers NonZero reports [%lld, %lld], or writes behind out_dims",
                     (unsigned long long)nonzeros,
                     (long long)dims[0][0],
                     (long long)dims[0][1]);
        }
        abi_ok(self,
               abi_mem_read(&all.life, &all.exec.outputs[0], found, 2 * nonzeros * 8),
               "reading the output");
        for (uint64_t i = 0; i < nonzeros; i++) { /* in the order of the elements */
            int64_t at = found[i] * SIDE + found[nonzeros + i];
            if (at < 0 || at >= COUNT || numbers[at] == 0) {
                abi_fail(self, "NonZero names an element that is zero");
            }
        }
    }
    abi_all_close(&all);
}

/* ---- wrong memory ---- */

static void run_no_output(abi *self) {
    abi_all all;
    abi_all_open(self, ABI_PLAIN, &all);
    fer_run_args args = abi_exec_args(&all.exec);
    fer_mem nothing = {NULL, 0, all.exec.bytes, NULL};
    args.outputs = &nothing;
    refuse_run(&all, args, "a run whose output has no memory");
    abi_all_close(&all);
}

static void run_no_input(abi *self) {
    abi_all all;
    abi_all_open(self, ABI_PLAIN, &all);
    fer_run_args args = abi_exec_args(&all.exec);
    fer_mem none[2] = {
        {NULL, 0, all.exec.inputs[0].bytes, NULL},
        {NULL, 0, all.exec.inputs[1].bytes, NULL}
    };
    args.inputs = none;
    refuse_run(&all, args, "a run whose inputs have no memory");
    abi_all_close(&all);
}

/* The piece really is that small: what is written behind it faults. */
static fer_mem small_piece(abi_all *all, uint64_t bytes) {
    fer_mem mem;
    abi_ok(all->life.suite, abi_mem_take(&all->life, bytes, &mem), "memory for a small piece");
    return mem;
}

static void run_small_output(abi *self) {
    abi_all all;
    abi_all_open(self, ABI_PLAIN, &all);
    fer_mem small = small_piece(&all, 64);
    fer_run_args args = abi_exec_args(&all.exec);
    args.outputs = &small;
    refuse_run(&all, args, "a run whose output is too small");
    abi_mem_give(&all.life, &small);
    abi_all_close(&all);
}

static void run_small_input(abi *self) {
    abi_all all;
    abi_all_open(self, ABI_PLAIN, &all);
    fer_mem small = small_piece(&all, 64);
    fer_mem inputs[2] = {small, all.exec.inputs[1]};
    fer_run_args args = abi_exec_args(&all.exec);
    args.inputs = inputs;
    refuse_run(&all, args, "a run whose input is too small");
    abi_mem_give(&all.life, &small);
    abi_all_close(&all);
}

static void run_small_workspace(abi *self) {
    abi_all all;
    abi_all_open(self, ABI_CHAIN, &all);
    if (all.exec.workspace.bytes == 0) {
        abi_all_close(&all);
        abi_skip(self, "its execs need no workspace");
    }
    fer_run_args args = abi_exec_args(&all.exec);
    args.workspace.bytes = 16;
    refuse_run(&all, args, "a run whose workspace is too small");
    args = abi_exec_args(&all.exec);
    args.workspace = (fer_mem){0};
    refuse_run(&all, args, "a run without workspace");
    abi_all_close(&all);
}

/* The weight of the instance, and of the run, which has it where there are no instances. */
static void run_small_weight(abi *self) {
    abi_all all;
    void *made = NULL;
    abi_all_open(self, ABI_CONSTANT, &all);
    const fer_backend_instances *slots = all.life.m->instances;
    fer_mem small = small_piece(&all, 8);
    fer_instance_args with = {
        .struct_size = sizeof with, .weights = &small, .stream = all.exec.stream};
    fer_run_args args = abi_exec_args(&all.exec);
    args.weights = &small;
    abi_ok(self, abi_exec_feed(&all.exec, 1), "filling the inputs");
    abi_said_reset();
    fer_status status = slots->instance_create(all.life.device, all.exec.exec, &with, &made);
    if (status != FER_OK) {
        abi_refused(self, status, "instance_create with a weight of 8 bytes");
    } else {
        void *own = all.exec.instance;
        all.exec.instance = made;
        abi_said_reset();
        status = abi_exec_go(&all.exec, &args);
        abi_refused(self, status, "a run whose weight is too small");
        all.exec.instance = own;
        if (all.exec.stream != NULL) {
            all.life.m->async->stream_destroy(all.life.device, all.exec.stream);
            all.exec.stream = NULL;
        }
        slots->instance_destroy(all.life.device, made);
    }
    abi_exec_finish(&all.exec);
    abi_exec_make(&all.life, &all.graph, &all.exec);
    abi_exec_must(&all.exec, 2);
    abi_mem_give(&all.life, &small);
    abi_all_close(&all);
}

/* Constants may lie at any address where the device asks for no alignment. */
static void run_odd_weight(abi *self) {
    abi_all all;
    abi_all_open(self, ABI_CONSTANT, &all);
    fer_weight_layout layout = {.struct_size = sizeof layout};
    abi_ok(self,
           all.life.m->compiler->weight_layout(all.life.device, all.exec.exec, 0, &layout),
           "weight_layout");
    if (!abi_is_host(&all.life) || all.life.info.const_alignment > 1 || layout.alignment > 1 ||
        layout.name[0] != '\0') {
        abi_all_close(&all);
        abi_skip(self, "it wants its constants aligned");
    }
    const fer_backend_instances *slots = all.life.m->instances;
    char *odd = abi_guarded(self->host, all.exec.weights[0].bytes + 1, 16);
    memcpy(odd + 1, all.exec.weights[0].host, all.exec.weights[0].bytes);
    slots->instance_destroy(all.life.device, all.exec.instance);
    all.exec.weights[0].host = odd + 1;
    fer_instance_args args = {
        .struct_size = sizeof args, .weights = all.exec.weights, .stream = all.exec.stream};
    abi_ok(self,
           slots->instance_create(all.life.device, all.exec.exec, &args, &all.exec.instance),
           "instance_create");
    abi_exec_must(&all.exec, 1);
    abi_all_close(&all);
}

/* Without a stream a run returns when it is done, also where there are streams. */
static void run_at_once(abi *self) {
    abi_all all;
    void *made = NULL;
    abi_all_open(self, ABI_CONSTANT, &all);
    const fer_backend_instances *slots = all.life.m->instances;
    fer_instance_args with = {.struct_size = sizeof with, .weights = all.exec.weights};
    abi_ok(self,
           slots->instance_create(all.life.device, all.exec.exec, &with, &made),
           "instance_create without a stream");
    for (uint64_t seed = 1; seed < 4; seed++) {
        fer_run_args args = abi_exec_args(&all.exec);
        args.stream = NULL;
        abi_ok(self, abi_exec_feed(&all.exec, seed), "filling the inputs");
        abi_ok(self, slots->run(all.life.device, made, &args), "a run without a stream");
        abi_ok(self, abi_exec_check(&all.exec, seed), "reading the output");
        if (all.exec.wrong[0] != '\0') {
            abi_fail(self, "without a stream %s", all.exec.wrong);
        }
    }
    slots->instance_destroy(all.life.device, made);
    abi_all_close(&all);
}

/* ---- cancelled ---- */

static void run_cancelled(abi *self) {
    abi_all all;
    abi_all_open(self, ABI_LONG, &all);
    if (all.exec.stream != NULL) {
        abi_all_close(&all);
        abi_skip(self, "its runs are asynchronous: abi/cancel attacks those");
    }
    abi_ok(self, abi_exec_feed(&all.exec, 1), "filling the inputs");
    fer_run_args args = abi_exec_args(&all.exec);
    atomic_store(&all.exec.poll_answer, FER_CANCELLED);
    fer_status status = abi_exec_go(&all.exec, &args);
    if (atomic_load(&all.exec.polls) == 0) {
        abi_fail(self, "a run of 2^18 elements never asked poll");
    }
    if (status != FER_CANCELLED) {
        abi_fail(self, "poll said CANCELLED, the run %s", fer_status_name(status));
    }
    atomic_store(&all.exec.poll_answer, FER_DEADLINE);
    status = abi_exec_go(&all.exec, &args);
    if (status != FER_DEADLINE) {
        abi_fail(self, "poll said DEADLINE, the run %s", fer_status_name(status));
    }
    atomic_store(&all.exec.poll_answer, FER_OK);
    abi_exec_must(&all.exec, 2);
    abi_all_close(&all);
}

/* ---- arguments of other sizes ---- */

static void run_sized(abi *self, int tail) {
    abi_all all;
    abi_all_open(self, ABI_PLAIN, &all);
    abi_ok(self, abi_exec_feed(&all.exec, 5), "filling the inputs");
    fer_run_args args = abi_exec_args(&all.exec);
    fer_run_args *longer = abi_lengthen(self->host, &args, sizeof args, tail);
    abi_ok(self, abi_exec_go(&all.exec, longer), "a run with longer arguments");
    abi_ok(self, abi_exec_check(&all.exec, 5), "reading the output");
    if (all.exec.wrong[0] != '\0') {
        abi_fail(self, "with longer arguments %s", all.exec.wrong);
    }
    abi_all_close(&all);
}

static void run_long_zero(abi *self) { run_sized(self, 0); }
static void run_long_tail(abi *self) { run_sized(self, 0xee); }

static void run_short(abi *self) {
    abi_all all;
    abi_all_open(self, ABI_PLAIN, &all);
    fer_run_args args = abi_exec_args(&all.exec);
    const fer_run_args *cut = abi_cut(self->host, &args, 32);
    abi_ok(self, abi_exec_feed(&all.exec, 3), "filling the inputs");
    abi_said_reset();
    abi_refused(self,
                all.life.m->instances->run(all.life.device, all.exec.instance, cut),
                "a run with 32 bytes of arguments");
    abi_exec_must(&all.exec, 4);
    abi_all_close(&all);
}

/* ---- instances ---- */

static void instance_never_run(abi *self) {
    abi_all all;
    abi_all_open(self, ABI_PLAIN, &all);
    abi_all_close(&all);
}

/* Instances of one exec share nothing that a run changes. */
static void instance_many(abi *self) {
    enum { MANY = 5 };
    abi_all all;
    void *made[MANY];
    abi_all_open(self, ABI_CONSTANT, &all);
    const fer_backend_instances *slots = all.life.m->instances;
    fer_instance_args args = {
        .struct_size = sizeof args, .weights = all.exec.weights, .stream = all.exec.stream};
    for (int i = 0; i < MANY; i++) {
        abi_ok(self,
               slots->instance_create(all.life.device, all.exec.exec, &args, &made[i]),
               "instance_create");
    }
    void *own = all.exec.instance;
    for (uint64_t i = 0; i < 2 * MANY; i++) {
        all.exec.instance = made[i % MANY];
        abi_exec_must(&all.exec, i);
    }
    all.exec.instance = own;
    if (all.exec.stream != NULL) { /* it goes before the instances made for it */
        all.life.m->async->stream_destroy(all.life.device, all.exec.stream);
        all.exec.stream = NULL;
    }
    for (int i = 0; i < MANY; i++) {
        slots->instance_destroy(all.life.device, made[(i * 3) % MANY]);
    }
    abi_all_close(&all);
}

static void instance_sized(abi *self) {
    abi_all all;
    void *made = NULL;
    abi_all_open(self, ABI_PLAIN, &all);
    const fer_backend_instances *slots = all.life.m->instances;
    fer_instance_args args = {.struct_size = sizeof args};
    for (int tail = 0; tail <= 0xee; tail += 0xee) {
        abi_ok(self,
               slots->instance_create(all.life.device,
                                      all.exec.exec,
                                      abi_lengthen(self->host, &args, sizeof args, tail),
                                      &made),
               "instance_create with longer arguments");
        slots->instance_destroy(all.life.device, made);
    }
    if (all.exec.instance == all.exec.exec) {
        abi_all_close(&all);
        abi_skip(self, "it has no instances of its own");
    }
    made = &all;
    abi_said_reset();
    abi_refused(self,
                slots->instance_create(
                    all.life.device, all.exec.exec, abi_cut(self->host, &args, 8), &made),
                "instance_create with 8 bytes of arguments");
    if (made != &all) {
        abi_fail(self, "instance_create failed, and yet out_instance was set");
    }
    abi_exec_must(&all.exec, 1);
    abi_all_close(&all);
}

static const abi_case rows[] = {
    {"run",             "again",           run_again          },
    {"run",             "constant",        run_constant       },
    {"run",             "chain",           run_chain          },
    {"run",             "empty",           run_empty          },
    {"run",             "scalar",          run_scalar         },
    {"run",             "rank-8",          run_deep           },
    {"run",             "long",            run_long           },
    {"run",             "of-an-exec",      run_core           },
    {"run",             "runtime-dims",    run_dims           },
    {"run",             "dims-beyond",     run_dims_beyond    },
    {"run",             "out-dims",        run_out_dims       },
    {"run",             "no-output",       run_no_output      },
    {"run",             "no-input",        run_no_input       },
    {"run",             "small-output",    run_small_output   },
    {"run",             "small-input",     run_small_input    },
    {"run",             "small-workspace", run_small_workspace},
    {"run",             "small-weight",    run_small_weight   },
    {"run",             "odd-weight",      run_odd_weight     },
    {"run",             "at-once",         run_at_once        },
    {"run",             "cancelled",       run_cancelled      },
    {"run",             "args-long-zero",  run_long_zero      },
    {"run",             "args-long-tail",  run_long_tail      },
    {"run",             "args-short",      run_short          },
    {"instance_create", "never-run",       instance_never_run },
    {"instance_create", "many",            instance_many      },
    {"instance_create", "other-sizes",     instance_sized     },
};
const abi_cases abi_run_cases = {rows, sizeof rows / sizeof *rows};
