// SPDX-License-Identifier: BSL-1.0
// By libbacktrace, which knows the formats: docs/decisions/008-libbacktrace.md.
#include "process_pool/source_lines.hpp"

#ifdef MP_HAVE_LIBBACKTRACE

#include "mp/fd.hpp"

#include "data/module.hpp"
#include "os/new_fd.hpp"

#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <backtrace.h>
#include <exception>

namespace futures::detail {

namespace {

/// libbacktrace never gives back what it has read. Modules that are loaded later need
/// another state: so many, and no more.
constexpr std::size_t most_states = 8;

struct LinesOf {
    std::atomic<backtrace_state*> state{nullptr};
    std::atomic<unsigned long long> loads{0};  ///< modules loaded before it was made
};

std::array<LinesOf, most_states> states;

void ignore_error(void* /*data*/, const char* /*message*/, int /*error*/) {}

unsigned long long loads_so_far() {
    unsigned long long loads = 0;
    ::dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* to) {
            *static_cast<unsigned long long*>(to) = info->dlpi_adds;
            return 1;
        },
        &loads
    );
    return loads;
}

/// One that knows all modules, or as many as can be. No lock: a child that is forked
/// while another thread is here could never have it.
backtrace_state* state_for(unsigned long long loads) {
    backtrace_state* last = nullptr;
    for (LinesOf& state : states) {
        backtrace_state* known = state.state.load();
        if (known == nullptr) {
            backtrace_state* const made =
                ::backtrace_create_state(nullptr, 1, ignore_error, nullptr);
            if (made == nullptr) {
                return last;
            }
            if (!state.state.compare_exchange_strong(known, made)) {
                return known;  // another thread was quicker; ours is lost
            }
            state.loads = loads;
            return made;
        }
        if (state.loads >= loads) {
            return known;
        }
        last = known;
    }
    return last;
}

/// libbacktrace opens the files by their paths: they may be others by now.
bool is_still_its_file(const mp::detail::Module& module) {
    if (module.path.empty()) {
        return true;  // the program, which it opens as /proc/self/exe
    }
    const mp::UniqueFd fd = mp::os::try_new_fd([&] {
        return ::open(
            module.findable_path().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY
        );
    });
    return fd && mp::detail::build_id_of_file(fd.get()) == module.build_id;
}

int add_line(
    void* to, std::uintptr_t /*pc*/, const char* file, int line, const char* function
) noexcept {
    try {
        static_cast<std::vector<SourceLine>*>(to)->push_back(
            {.symbol = function != nullptr ? function : "",
             .file = file != nullptr ? file : "",
             .line = line}
        );
        return 0;
    } catch (...) {
        return 1;  // no memory for more
    }
}

void set_symbol(
    void* to,
    std::uintptr_t /*pc*/,
    const char* name,
    std::uintptr_t /*value*/,
    std::uintptr_t /*size*/
) noexcept {
    try {
        *static_cast<std::string*>(to) = name != nullptr ? name : "";
    } catch (...) {
        return;  // no memory
    }
}

}  // namespace

std::vector<SourceLine>
source_lines_at(std::string_view build_id, std::uint64_t offset) {
    const auto& modules = mp::detail::loaded_modules();
    const auto module =
        std::find_if(modules.begin(), modules.end(), [&](const auto& any) {
            return any.build_id == build_id;
        });
    if (build_id.empty() || module == modules.end() ||
        !module->has_code_at(module->base + offset) || !is_still_its_file(*module)) {
        return {};
    }
    std::vector<SourceLine> lines;
    backtrace_state* const state = state_for(loads_so_far());
    const std::uintptr_t address = module->base + offset;
    if (state == nullptr) {
        return lines;
    }
    ::backtrace_pcinfo(state, address, add_line, ignore_error, &lines);
    if (lines.empty()) {
        lines.emplace_back();
    }
    std::string symbol;  // debug information may have short names only
    ::backtrace_syminfo(state, address, set_symbol, ignore_error, &symbol);
    if (!symbol.empty()) {
        lines.back().symbol = symbol;
    }
    return lines;
}

}  // namespace futures::detail

#else

namespace futures::detail {

std::vector<SourceLine> source_lines_at(std::string_view, std::uint64_t) {
    return {};
}

}  // namespace futures::detail

#endif
