/* SPDX-License-Identifier: Apache-2.0
 *
 * `ferrule conform`: runs the suite against a device. This file lists what is to run and hands it
 * to the workers; the rest is in conform/.
 */
#include "abi.h"
#include "command.h"
#include "conform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct adding {
    campaign *campaign;
    int64_t number;
    int status;
} adding;

static int add_case(void *self, const char *name) {
    adding *add = self;
    if (add->number++ % add->campaign->options->sample == 0) {
        add->status = campaign_add(add->campaign, name);
    }
    return add->status;
}

/* A name that makes a case is run even when the list does not hold it. */
static int add_named(campaign *self, const char *name) {
    static trial probe;
    int is_case = trial_parse(&probe, name);
    if (is_case) {
        trial_finish(&probe);
        return campaign_add(self, name);
    }
    if (strpbrk(name, "*?[") == NULL) {
        return complain(EXIT_INVALID, "INVALID_INPUT", "--case '%s': %s", name, probe.sentence);
    }
    return EXIT_RIGHT;
}

static int add_attacks(campaign *self) {
    const char *pattern = self->options->filter.pattern;
    if (pattern != NULL && strncmp(pattern, "abi/", 4) == 0 && strpbrk(pattern, "*?[") == NULL &&
        abi_find(pattern + 4) == NULL) {
        return complain(
            EXIT_INVALID,
            "INVALID_INPUT",
            "--case '%s': no such attack; ferrule conform --suite abi --list names them",
            pattern);
    }
    adding add = {.campaign = self};
    (void)abi_each(&self->options->filter, add_case, &add);
    return add.status;
}

static int add_all(campaign *self) {
    const conform_options *options = self->options;
    const char *suite = options->suite, *pattern = options->filter.pattern;
    int is_all = strcmp(suite, "all") == 0;
    if (pattern != NULL && strncmp(pattern, "vector:", 7) == 0) {
        return campaign_add(self, pattern);
    }
    int is_abi_alone =
        strcmp(suite, "abi") == 0 || (pattern != NULL && strncmp(pattern, "abi/", 4) == 0);
    if (is_abi_alone) {
        return add_attacks(self);
    }
    if (strcmp(suite, "generated") == 0 || is_all) {
        int status = pattern != NULL ? add_named(self, pattern) : EXIT_RIGHT;
        adding add = {.campaign = self};
        if (status == EXIT_RIGHT && self->count == 0) {
            (void)cases_each(&options->filter, add_case, &add);
            status = add.status;
        }
        if (status != EXIT_RIGHT) {
            return status;
        }
    }
    if (strcmp(suite, "onnx") == 0 || (is_all && options->onnx != NULL)) {
        int status = vectors_add(self, options->onnx);
        if (status != EXIT_RIGHT) {
            return status;
        }
    }
    return is_all ? add_attacks(self) : EXIT_RIGHT;
}

static void campaign_free(campaign *self) {
    for (uint64_t i = 0; i < self->count; i++) {
        free(self->cases[i].name);
    }
    free(self->cases);
    expectations_free(self->expected);
}

static int print_list(const conform_options *options) {
    campaign self = {.options = options};
    int status = add_all(&self);
    for (uint64_t i = 0; i < self.count && status == EXIT_RIGHT; i++) {
        (void)puts(self.cases[i].name);
    }
    campaign_free(&self);
    return status;
}

static int run_all(const conform_options *options) {
    campaign self = {.options = options, .begin_ms = now_ms()};
    int malformed = EXIT_RIGHT, status = EXIT_RIGHT;
    if (options->expectations == NULL) {
        malformed = known_failures_read(options->device, &self.expected);
    } else if (strcmp(options->expectations, "none") != 0) {
        FILE *made = options->update ? fopen(options->expectations, "a") : NULL; /* the first time */
        if (made != NULL) {
            (void)fclose(made);
        }
        malformed = expectations_read(options->expectations, &self.expected);
        if (self.expected == NULL) {
            return malformed;
        }
    }
    status = add_all(&self);
    if (status == EXIT_RIGHT && self.count == 0) {
        status = complain(EXIT_USAGE, "USAGE", "no case matches; see ferrule conform --list");
    }
    if (status == EXIT_RIGHT && options->report != NULL) {
        self.report = fopen(options->report, "w");
        if (self.report == NULL) {
            status = complain(
                EXIT_INVALID, "IO", "%s cannot be written: %s", options->report, strerror(errno));
        }
    }
    if (status == EXIT_RIGHT) {
        status = options->in_process ? worker_run_here(&self) : pool_run(&self);
        int finished = campaign_finish(&self);
        status = status != EXIT_RIGHT ? status : finished;
    }
    campaign_free(&self);
    return malformed != EXIT_RIGHT ? malformed : status;
}

static int run_repro(const conform_options *options) {
    runner self;
    if (strncmp(options->repro, "abi/", 4) == 0) { /* there is no model to write */
        if (abi_find(options->repro + 4) == NULL) {
            return complain(
                EXIT_INVALID, "INVALID_INPUT", "--repro '%s': no such attack", options->repro);
        }
        printf("ferrule conform --device '%s' --case '%s' --in-process\n",
               options->device,
               options->repro);
        return EXIT_RIGHT;
    }
    fer_status status = runner_open(&self, options->device);
    if (status != FER_OK) {
        return complain(EXIT_DEVICE, fer_status_name(status), "%s", fer_error_last()->message);
    }
    self.timeout_s = options->timeout_s;
    char folder[CASE_NAME + 1];
    (void)snprintf(
        folder, sizeof folder, "%s", options->output != NULL ? options->output : options->repro);
    for (char *at = folder; options->output == NULL && *at != '\0'; at++) {
        *at = *at == '/' || *at == ':' || *at == ',' || *at == '=' ? '_' : *at;
    }
    int result = repro_write(&self, options->repro, folder);
    runner_close(&self);
    return result;
}

int verb_conform(int argc, char **argv) {
    conform_options options;
    int status = conform_parse(&options, argc, argv);
    if (status != EXIT_RIGHT) {
        return status;
    }
    if (options.help) {
        conform_help(stdout);
        return EXIT_RIGHT;
    }
    if (options.worker) {
        return worker_main(&options);
    }
    if (options.limits) {
        limits_print(stdout);
        return EXIT_RIGHT;
    }
    if (options.list) {
        return print_list(&options);
    }
    return options.repro != NULL ? run_repro(&options) : run_all(&options);
}
