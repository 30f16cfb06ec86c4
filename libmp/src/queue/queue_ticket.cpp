// SPDX-License-Identifier: BSL-1.0
// How a queue gets into a child that is being started.
#include "mp/detail/queue_core.hpp"
#include "mp/detail/queue_handle.hpp"

#include "data/spawning.hpp"
#include "os/fork_lock.hpp"

#include <map>

namespace mp::detail {
namespace {

/// The queues that came to this process or left it, by their memory: one that comes
/// back, or that a forked child is given, is the same one.
struct Known {
    os::ForkLock lock;
    std::map<const std::byte*, std::weak_ptr<QueueCore>> queues MP_GUARDED_BY(lock);

    std::weak_ptr<QueueCore>& at(const std::byte* place) MP_REQUIRES(lock) {
        std::erase_if(queues, [](const auto& known) { return known.second.expired(); });
        return queues[place];
    }
};

Known& known_queues() {
    static auto* const instance = new Known;
    return *instance;
}

}  // namespace

void throw_other_queue(const std::string& type) {
    throw SerializationError(
        SerializationPhase::decode,
        "this is no queue of " + type + ", but of another type"
    );
}

QueueTicket QueueTicket::of(const std::shared_ptr<QueueCore>& core, const char* what) {
    QueueTicket ticket;
    ticket.data_ = hand_over_once(core, core->data_fileno(), what);
    // Another address in the core: the second descriptor is not the first one.
    const TravelKey second(core, reinterpret_cast<const std::byte*>(core.get()) + 1);
    ticket.event_ = hand_over_once(second, core->event_fileno(), what);
    ticket.block_ = core->control_block();
    ticket.geometry_ = core->geometry();
    Known& all = known_queues();
    const os::ForkLockHeld held(all.lock);
    all.at(ticket.block_.data()) = core;
    return ticket;
}

std::shared_ptr<QueueCore> QueueTicket::open() const {
    Known& all = known_queues();
    const os::ForkLockHeld held(all.lock);
    auto& known = all.at(block_.data());
    auto core = known.lock();
    if (!core) {
        core = std::make_shared<QueueCore>(
            geometry_, block_, Segment(take_over(data_)), take_over(event_)
        );
        known = core;
    }
    return core;
}

}  // namespace mp::detail
