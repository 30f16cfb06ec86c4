// SPDX-License-Identifier: BSL-1.0
#include "util/exit_function.hpp"

#include "mp/thread_safety.hpp"

#include "os/per_process.hpp"
#include "util/diagnostics.hpp"

#include <array>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mp::detail {
namespace {

constexpr std::array phases{
    ExitPhase::own_executor,
    ExitPhase::executors,
    ExitPhase::finalizers,
    ExitPhase::children,
    ExitPhase::late_finalizers,
    ExitPhase::helpers,
};

struct Part {
    int number;
    ExitPhase phase;
    std::function<void()> run;
};

struct Parts {
    void take_over(std::unique_ptr<Parts> parents) MP_NO_THREAD_SAFETY_ANALYSIS {
        // The registration with std::atexit is inherited.
        registered = parents->registered;
        // What the parent's parts hold is not taken apart here.
        static_cast<void>(parents.release());
    }

    Mutex mutex;
    std::vector<Part> list MP_GUARDED_BY(mutex);
    int last_number MP_GUARDED_BY(mutex) = 0;
    bool registered MP_GUARDED_BY(mutex) = false;
    std::atomic<bool> begun{false};
};

Parts& parts() {
    return os::PerProcess<Parts, os::AtFork::takes_over>::get();
}

std::optional<Part> newest_of(ExitPhase phase) {
    Parts& all = parts();
    const MutexLock held(all.mutex);
    for (auto it = all.list.rbegin(); it != all.list.rend(); ++it) {
        if (it->phase == phase) {
            Part part = std::move(*it);
            all.list.erase(std::next(it).base());
            return part;
        }
    }
    return std::nullopt;
}

void run_part(const Part& part) noexcept {
    try {
        part.run();
    } catch (const std::exception& error) {
        log_error(
            std::string("an exit handler of the library failed: ") + error.what()
        );
    } catch (...) {
        log_error("an exit handler of the library failed with an unknown exception");
    }
}

}  // namespace

int add_exit_part(
    ExitPhase phase, std::function<void()> part, std::optional<int> with
) {
    Parts& all = parts();
    const MutexLock held(all.mutex);
    const int number = with ? *with : ++all.last_number;
    all.list.push_back({number, phase, std::move(part)});
    return number;
}

void drop_exit_part(int number) {
    Parts& all = parts();
    const MutexLock held(all.mutex);
    std::erase_if(all.list, [&](const Part& part) { return part.number == number; });
}

void ensure_exit_step() {
    Parts& all = parts();
    const MutexLock held(all.mutex);
    if (!all.registered) {
        all.registered = true;
        std::atexit([] { run_exit_step(); });
    }
}

void run_exit_step() noexcept {
    if (parts().begun.exchange(true)) {
        return;
    }
    for (const ExitPhase phase : phases) {
        while (const auto part = newest_of(phase)) {
            run_part(*part);
        }
    }
}

bool exiting() noexcept {
    return parts().begun.load();
}

void inherit_exit_step() {
    Parts& all = parts();
    const MutexLock held(all.mutex);
    all.registered = true;
}

}  // namespace mp::detail
