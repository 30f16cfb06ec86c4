// SPDX-License-Identifier: BSL-1.0
#include "mp/after_fork.hpp"

#include "os/fork_lock.hpp"
#include "util/diagnostics.hpp"

#include <algorithm>
#include <exception>
#include <string>
#include <vector>

namespace mp::detail {

namespace {

struct Hook {
    std::function<void()> run;
    std::optional<std::weak_ptr<const void>> watched;

    bool is_over() const noexcept { return watched && watched->expired(); }
};

using HookList = std::vector<std::shared_ptr<Hook>>;

struct Hooks {
    os::ForkLock lock;
    HookList list MP_GUARDED_BY(lock);
    std::size_t sweep_at MP_GUARDED_BY(lock) = 16;

    static Hooks& instance() {
        static auto& hooks = *new Hooks;
        return hooks;
    }

    // Takes out the hooks whose object is gone. The caller destroys them without the
    // lock: what they captured may have a destructor that comes back here.
    HookList sweep() MP_REQUIRES(lock) {
        HookList over;
        HookList kept;
        for (const auto& hook : list) {  // copies: without memory, the list stays whole
            (hook->is_over() ? over : kept).push_back(hook);
        }
        list.swap(kept);
        return over;
    }
};

// Before main, so that no fork can fall into the making.
[[maybe_unused]] const bool hooks_made_early = (Hooks::instance(), true);

void run_logged(const Hook& hook) noexcept {
    try {
        hook.run();
    } catch (const std::exception& e) {
        log_error(std::string("an after-fork hook failed: ") + e.what());
    } catch (...) {
        log_error("an after-fork hook failed with something that is no exception");
    }
}

}  // namespace

void add_after_fork_hook(
    std::function<void()> hook, std::optional<std::weak_ptr<const void>> watched
) {
    auto added = std::make_shared<Hook>(Hook{
        .run = std::move(hook), .watched = std::move(watched)});
    Hooks& hooks = Hooks::instance();
    HookList over;
    const os::ForkLockHeld held(hooks.lock);
    if (hooks.list.size() >= hooks.sweep_at) {
        over = hooks.sweep();
        hooks.sweep_at = std::max<std::size_t>(16, 2 * hooks.list.size());
    }
    hooks.list.push_back(std::move(added));
}

void run_after_fork_hooks() noexcept {
    Hooks& hooks = Hooks::instance();
    // A hook may register others: they are for the next generation.
    HookList now;
    {
        HookList over;
        const os::ForkLockHeld held(hooks.lock);
        over = hooks.sweep();
        now = hooks.list;
    }
    for (const auto& hook : now) {
        run_logged(*hook);
    }
}

std::size_t after_fork_hook_count() {
    Hooks& hooks = Hooks::instance();
    const os::ForkLockHeld held(hooks.lock);
    return hooks.list.size();
}

}  // namespace mp::detail
