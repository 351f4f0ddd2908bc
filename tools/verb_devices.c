/* SPDX-License-Identifier: Apache-2.0
 *
 * `ferrule devices`: every device of every backend, and for a backend that has none, why.
 */
#include "command.h"

#include <string.h>

static const char *const states[] = {"-", "ready", "lost", "closed"};
static const char *const types[] = {"other", "cpu", "gpu", "accelerator"};

static void print_device(const fer_device_info *info) {
    char memory[32] = "-";
    if (info->memory_bytes > 0) {
        (void)snprintf(memory, sizeof memory, "%.1f GB", (double)info->memory_bytes / 1e9);
    }
    say_text(stdout,
             "%-10s %-10s %-30.30s %9s  %-6s %s%s\n",
             info->name,
             info->backend,
             info->chip,
             memory,
             states[info->state & 3],
             info->note,
             info->is_default        ? ""
             : info->note[0] != '\0' ? "; only when named"
                                     : "only when named");
}

static void json_device(json *out, const fer_device_info *info) {
    json_open(out, NULL, '{');
    json_text(out, "device", info->name);
    json_text(out, "backend", info->backend);
    json_text(out, "type", types[info->type & 3]);
    json_text(out, "chip", info->chip);
    json_text(out, "chip_id", info->chip_id);
    json_text(out, "state", states[info->state & 3]);
    json_text(out, "note", info->note);
    json_integer(out, "generation", info->generation);
    json_integer(out, "memory_bytes", (int64_t)info->memory_bytes);
    json_integer(out, "in_use_bytes", (int64_t)info->in_use_bytes);
    json_integer(out, "budget_bytes", (int64_t)info->budget_bytes);
    json_integer(out, "is_default", info->is_default);
    json_close(out, '}');
}

/* Writes the devices and remembers which backends had one (names are the context's). */
static fer_status list_devices(fer_context *context, json *out, text_list *seen) {
    uint32_t count = 0;
    fer_status status = fer_context_device_count(context, &count);
    for (uint32_t i = 0; i < count && status == FER_OK; i++) {
        fer_device *device = NULL;
        fer_device_info info = {.struct_size = sizeof info};
        status = fer_context_device(context, i, &device);
        if (status == FER_OK) {
            status = fer_device_get_info(device, &info);
        }
        if (status == FER_OK) {
            if (out != NULL) {
                json_device(out, &info);
            } else {
                print_device(&info);
            }
            if (seen->count < LIST_CAPACITY) {
                seen->items[seen->count++] = info.backend;
            }
        }
        fer_device_release(device);
    }
    return status;
}

static int has_device(const text_list *seen, const char *backend) {
    for (uint32_t i = 0; i < seen->count; i++) {
        if (strcmp(seen->items[i], backend) == 0) {
            return 1;
        }
    }
    return 0;
}

static fer_status list_others(fer_context *context, json *out, const text_list *seen) {
    fer_status status = FER_OK;
    for (uint32_t i = 0; i < fer_context_load_report_count(context) && status == FER_OK; i++) {
        fer_load_line line = {.struct_size = sizeof line};
        status = fer_context_load_line(context, i, &line);
        if (status != FER_OK || (line.status == FER_OK && has_device(seen, line.backend))) {
            continue;
        }
        if (out == NULL) {
            say_text(stdout,
                     "%-10s %-10s %-30s %9s  %-6s %s\n",
                     line.backend,
                     line.backend,
                     "-",
                     "-",
                     line.status == FER_OK ? "none" : "failed",
                     line.detail);
            continue;
        }
        json_open(out, NULL, '{');
        json_text(out, "backend", line.backend);
        json_text(out, "status", fer_status_name(line.status));
        json_text(out, "detail", line.detail);
        json_close(out, '}');
    }
    return status;
}

int verb_devices(const arguments *args) {
    session self;
    int result = session_open(&self, args);
    if (result != EXIT_RIGHT) {
        return result;
    }
    static const text_list none;
    text_list seen = none;
    json out;
    fer_status status;
    if (args->json) {
        json_begin(&out, stdout);
        json_open(&out, NULL, '{');
        json_open(&out, "devices", '[');
        status = list_devices(self.context, &out, &seen);
        json_close(&out, ']');
        json_open(&out, "without_device", '[');
        status = status == FER_OK ? list_others(self.context, &out, &seen) : status;
        json_close(&out, ']');
        json_close(&out, '}');
        json_end(&out);
    } else {
        say_text(stdout,
                 "%-10s %-10s %-30s %9s  %-6s %s\n",
                 "DEVICE",
                 "BACKEND",
                 "CHIP",
                 "MEMORY",
                 "STATE",
                 "NOTE");
        status = list_devices(self.context, NULL, &seen);
        status = status == FER_OK ? list_others(self.context, NULL, &seen) : status;
    }
    result = status == FER_OK ? EXIT_RIGHT : fail_with(args, status);
    session_close(&self);
    return result;
}
