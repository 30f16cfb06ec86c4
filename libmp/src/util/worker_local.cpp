// SPDX-License-Identifier: BSL-1.0
#include "mp/worker_local.hpp"

#include "mp/errors.hpp"
#include "mp/thread_safety.hpp"

#include "os/per_process.hpp"
#include "util/demangle.hpp"

#include <string>
#include <thread>
#include <typeindex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace mp::detail {
namespace {

/// How often the object of one type is destroyed at the end: of two whose destructors
/// ask for each other one is always there.
constexpr int most_ends = 4;

struct Local {
    std::shared_ptr<void> object;
    int ends = 0;  ///< at this end of the worker
    /// The thread in its constructor; others wait for that.
    std::thread::id maker;
};

struct Locals {
    Mutex mutex;
    CondVar made;
    std::unordered_map<std::type_index, Local> by_type MP_GUARDED_BY(mutex);
    /// The eldest first.
    std::vector<std::type_index> order MP_GUARDED_BY(mutex);
};

using Registry = os::PerProcess<Locals>;

/// For a constructor that throws.
class Making {
public:
    Making(Locals& locals, std::type_index type) : locals_(locals), type_(type) {}

    ~Making() {
        const MutexLock lock(locals_.mutex);
        locals_.by_type[type_].maker = {};
        locals_.made.notify_all();
    }

    Making(const Making&) = delete;
    Making& operator=(const Making&) = delete;

private:
    Locals& locals_;
    std::type_index type_;
};

}  // namespace

void* worker_local_object(const std::type_info& type, MakeWorkerLocal make) {
    Locals& locals = Registry::get();
    {
        const MutexLock lock(locals.mutex);
        Local& local = locals.by_type[type];
        while (local.maker != std::thread::id()) {
            if (local.maker == std::this_thread::get_id()) {
                throw StateError(
                    "worker_local(): the constructor of " + demangled(type.name()) +
                    " asks for the object that it makes"
                );
            }
            locals.made.wait(locals.mutex);
        }
        if (local.object) {
            return local.object.get();
        }
        locals.order.reserve(locals.order.size() + 1);
        local.maker = std::this_thread::get_id();
    }
    // Not under the lock: a constructor may ask for others.
    const Making making(locals, type);
    std::shared_ptr<void> object = make();
    const MutexLock lock(locals.mutex);
    locals.order.emplace_back(type);
    Local& local = locals.by_type[type];
    local.object = std::move(object);
    return local.object.get();
}

void destroy_worker_locals() noexcept {
    Locals& locals = Registry::get();
    for (;;) {
        std::shared_ptr<void> youngest;
        {
            const MutexLock lock(locals.mutex);
            if (locals.order.empty()) {
                for (auto& [type, local] : locals.by_type) {
                    local.ends = 0;
                }
                return;
            }
            Local& local = locals.by_type[locals.order.back()];
            locals.order.pop_back();
            if (++local.ends <= most_ends) {
                youngest = std::exchange(local.object, {});
            }
        }
        // Not under the lock: a destructor may ask for others.
    }
}

}  // namespace mp::detail
