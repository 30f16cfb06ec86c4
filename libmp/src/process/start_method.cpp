// SPDX-License-Identifier: BSL-1.0
// The default start method, and the names of all.
#include "mp/start_method.hpp"

#include "mp/errors.hpp"

#include <atomic>
#include <stdexcept>
#include <string>

namespace mp {
namespace {

constexpr StartMethod library_default = StartMethod::forkserver;
constexpr int open_choice = -1;

// The only state: one word, so that a fork at any moment copies a sane value.
std::atomic<int> settled{open_choice};

}  // namespace

std::string_view to_string(StartMethod method) noexcept {
    switch (method) {
    case StartMethod::fork:
        return "fork";
    case StartMethod::spawn:
        return "spawn";
    case StartMethod::forkserver:
        return "forkserver";
    }
    return "unknown";
}

StartMethod start_method_from(std::string_view name) {
    for (const StartMethod method : get_all_start_methods()) {
        if (method == name) {
            return method;
        }
    }
    throw std::invalid_argument(
        "cannot find a start method named '" + std::string(name) +
        "'; there are fork, spawn and forkserver"
    );
}

void set_start_method(StartMethod method, SetStartMethodOptions options) {
    const int wanted = static_cast<int>(method);
    if (options.force) {
        settled.store(wanted);
        return;
    }
    int expected = open_choice;
    if (!settled.compare_exchange_strong(expected, wanted)) {
        throw StateError(
            "the start method has already been set to '" +
            std::string(to_string(static_cast<StartMethod>(expected))) +
            "'; pass {.force = true} to change it"
        );
    }
}

void set_start_method(std::string_view name, SetStartMethodOptions options) {
    set_start_method(start_method_from(name), options);
}

StartMethod get_start_method() {
    int expected = open_choice;
    settled.compare_exchange_strong(expected, static_cast<int>(library_default));
    return static_cast<StartMethod>(settled.load());
}

std::optional<StartMethod> get_start_method(GetStartMethodOptions options) {
    if (!options.allow_none) {
        return get_start_method();
    }
    const int now = settled.load();
    return now == open_choice ? std::nullopt
                              : std::optional(static_cast<StartMethod>(now));
}

std::vector<StartMethod> get_all_start_methods() {
    return {StartMethod::forkserver, StartMethod::spawn, StartMethod::fork};
}

void detail::inherit_start_method(std::optional<StartMethod> method) {
    settled.store(method ? static_cast<int>(*method) : open_choice);
}

}  // namespace mp
