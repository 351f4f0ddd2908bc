/* SPDX-License-Identifier: Apache-2.0
 *
 * Loss: from then on a host only destroys, while work may be under way, and opens the device anew
 * beside what is left of the old. A device that can pretend to be lost is told how by --lose.
 */
#include "abi.h"

#include <stdio.h>
#include <string.h>

static const abi_graph *graph_of(abi_life *life) {
    static abi_graph graph;
    abi_graph_pick(life, ABI_CONSTANT, &graph);
    return &graph;
}

/* Puts work on the stream and does not wait. */
static void leave_running(abi_exec *exec, void **out_event) {
    abi *self = exec->life->suite;
    *out_event = NULL;
    abi_ok(self, abi_exec_feed(exec, 1), "filling the inputs");
    fer_run_args args = abi_exec_args(exec);
    args.out_signal = exec->stream != NULL ? out_event : NULL;
    abi_ok(self,
           exec->life->m->instances->run(exec->life->device, exec->instance, &args),
           "a run that nobody waits for");
}

static void forget(abi_exec *exec, void *event) {
    if (event != NULL) {
        exec->life->m->async->event_destroy(exec->life->device, event);
    }
    abi_exec_finish(exec);
}

/* All is destroyed at once, work or not, and the device opened again. */
static void abandoned(abi *self) {
    for (int i = 0; i < 10; i++) {
        abi_life life;
        abi_exec exec, idle;
        void *event = NULL;
        abi_life_open(self, &life);
        const abi_graph *graph = graph_of(&life);
        abi_exec_make(&life, graph, &idle);
        abi_exec_make(&life, graph, &exec);
        leave_running(&exec, &event);
        forget(&exec, event);
        abi_exec_finish(&idle);
        life.m->core->device_close(life.device);
        abi_ok(self,
               life.m->core->device_open(life.backend, self->index, &life.device),
               "device_open after a device was given up");
        abi_exec_make(&life, graph, &exec);
        abi_exec_must(&exec, 2);
        abi_exec_finish(&exec);
        abi_life_close(&life);
    }
}

/* The new opening works while the old one's objects are there, and after they are gone. */
static void old_and_new(abi *self) {
    abi_life old, fresh;
    abi_exec left, made;
    void *event = NULL;
    abi_life_open(self, &old);
    const abi_graph *graph = graph_of(&old);
    abi_exec_make(&old, graph, &left);
    abi_exec_must(&left, 1);
    leave_running(&left, &event);
    fresh = old;
    abi_ok(self,
           old.m->core->device_open(old.backend, self->index, &fresh.device),
           "device_open beside a device that was given up");
    abi_exec_make(&fresh, graph, &made);
    abi_exec_must(&made, 2);
    forget(&left, event);
    abi_exec_must(&made, 3);
    old.m->core->device_close(old.device);
    abi_exec_must(&made, 4);
    abi_exec_finish(&made);
    abi_exec_make(&fresh, graph, &made);
    abi_exec_must(&made, 5);
    abi_exec_finish(&made);
    abi_life_close(&fresh);
}

/* Runs until the device says that it is lost; 0 when it never does. */
static int gets_lost(abi_life *life, const abi_graph *graph, abi_exec *kept) {
    for (uint64_t i = 0; i < 200; i++) {
        abi_exec exec;
        fer_status status = abi_exec_run(kept, i);
        if (status == FER_OK) {
            status = abi_exec_try(life, graph, &exec);
            if (status == FER_OK) {
                abi_exec_finish(&exec);
            }
        }
        if (status == FER_DEVICE_LOST) {
            return 1;
        }
        abi_ok(life->suite, status, "a run before the device is lost");
    }
    return 0;
}

static void must_be_lost(abi *self, fer_status status, const char *what) {
    abi_refused(self, status, what);
    if (status != FER_DEVICE_LOST) {
        abi_fail(self, "%s: %s, DEVICE_LOST is right", what, fer_status_name(status));
    }
}

/* What was made before is still there, and can only be destroyed. */
static void use_lost(abi_life *life, const abi_graph *graph, abi_exec *kept) {
    abi_exec exec;
    fer_run_args args = abi_exec_args(kept);
    for (int i = 0; i < 3; i++) {
        abi_said_reset();
        must_be_lost(life->suite, abi_exec_try(life, graph, &exec), "compile on a lost device");
        abi_said_reset();
        must_be_lost(life->suite, abi_exec_go(kept, &args), "a run on a lost device");
    }
    abi_exec_finish(kept);
}

/* Where the loss comes at the start there is nothing yet to destroy. 1 when it came at all. */
static int lose_once(abi *self, const abi_graph *graph) {
    abi_life life;
    abi_exec kept;
    fer_status status = abi_life_try(self, &life);
    if (status == FER_DEVICE_LOST) {
        return 1;
    }
    abi_ok(self, status, "opening the device");
    int is_lost = 1;
    status = abi_exec_try(&life, graph, &kept);
    if (status == FER_OK) {
        is_lost = gets_lost(&life, graph, &kept);
        if (is_lost) {
            use_lost(&life, graph, &kept);
        } else {
            abi_exec_finish(&kept);
        }
    } else if (status != FER_DEVICE_LOST) {
        abi_ok(self, status, "making an exec ready to run");
    }
    life.m->core->device_close(life.device);
    abi_said_reset();
    status = life.m->core->device_open(life.backend, self->index, &life.device);
    if (status == FER_OK) {
        abi_exec_make(&life, graph, &kept);
        abi_exec_must(&kept, 1);
        abi_exec_finish(&kept);
        life.m->core->device_close(life.device);
    } else {
        abi_refused(self, status, "device_open of a lost device");
    }
    life.m->core->destroy(life.backend);
    return is_lost;
}

/* "Loss latches": what can fail fails with DEVICE_LOST, and destroying works. Where the options
 * hold a % it stands for every number up to 60. */
static void latches(abi *self) {
    static abi_graph graph;
    char kept_options[sizeof self->options];
    abi_life life;
    if (self->lose == NULL || self->lose[0] == '\0') {
        abi_skip(self, "how the device is made to be lost is not known: say so with --lose");
    }
    abi_life_open(self, &life);
    abi_graph_pick(&life, ABI_PLAIN, &graph);
    abi_life_close(&life);
    memcpy(kept_options, self->options, sizeof kept_options);
    size_t before = strcspn(self->lose, "%");
    int has_number = self->lose[before] == '%', is_lost = 0;
    for (int number = 1; number <= (has_number ? 60 : 1); number++) {
        char digits[12] = "";
        (void)snprintf(digits, sizeof digits, "%d", number);
        (void)snprintf(self->options,
                       sizeof self->options,
                       "%.200s %.*s%s%.100s",
                       kept_options,
                       (int)before,
                       self->lose,
                       has_number ? digits : "",
                       has_number ? self->lose + before + 1 : "");
        is_lost |= lose_once(self, &graph);
        if (!is_lost && number == 3) {
            break; /* the first numbers come soonest */
        }
    }
    if (!is_lost) {
        abi_fail(self, "the options '%.100s' do not make it be lost", self->lose);
    }
}

static const abi_case rows[] = {
    {"device_close", "abandoned", abandoned  },
    {"device_open",  "anew",      old_and_new},
    {"lost",         "latches",   latches    },
};
const abi_cases abi_loss_cases = {rows, sizeof rows / sizeof *rows};
