// SPDX-License-Identifier: BSL-1.0
// How a queue gets into a child that is being started.
#include "mp/detail/queue_core.hpp"
#include "mp/detail/queue_handle.hpp"

#include "data/spawning.hpp"
#include "os/fork_lock.hpp"

#include <map>

namespace mp::detail {
namespace {

/// The queues that came to this process, by their memory.
struct Arrived {
    os::ForkLock lock;
    std::map<const std::byte*, std::weak_ptr<QueueCore>> queues MP_GUARDED_BY(lock);
};

Arrived& arrived() {
    static auto* const instance = new Arrived;
    return *instance;
}

}  // namespace

void throw_other_queue(const std::string& type) {
    throw SerializationError(
        SerializationPhase::decode,
        "this is no queue of " + type + ", but of another type"
    );
}

QueueTicket QueueTicket::of(const QueueCore& core, const char* what) {
    QueueTicket ticket;
    ticket.data_ = hand_over_once(&core, core.data_fileno(), what);
    // Another address in the core: the second descriptor is not the first one.
    const void* const second = reinterpret_cast<const std::byte*>(&core) + 1;
    ticket.event_ = hand_over_once(second, core.event_fileno(), what);
    ticket.block_ = core.control_block();
    return ticket;
}

std::shared_ptr<QueueCore> QueueTicket::open() const {
    Arrived& all = arrived();
    const os::ForkLockHeld held(all.lock);
    auto& known = all.queues[block_.data()];
    auto core = known.lock();
    if (!core) {
        core = std::make_shared<QueueCore>(
            block_, Segment(take_over(data_)), take_over(event_)
        );
        known = core;
    }
    return core;
}

}  // namespace mp::detail
