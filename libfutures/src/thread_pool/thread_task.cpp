// SPDX-License-Identifier: BSL-1.0
#include "futures/detail/thread_task.hpp"

#include "futures/errors.hpp"
#include "mp/errors.hpp"

#include "util/number_text.hpp"

namespace futures::detail {

std::exception_ptr thread_ended_in_task() {
    return std::make_exception_ptr(
        mp::StateError("the task ended its thread by pthread_exit()")
    );
}

ThreadControl& Work::control() {
    ThreadControl* seen = control_if_any();
    if (seen == nullptr) {
        auto* const made = new ThreadControl;
        if (control_.compare_exchange_strong(seen, made)) {
            return *made;
        }
        made->drop_reference();
    }
    return *seen;
}

bool Work::stop_requested() const noexcept {
    const ThreadControl* const control = control_if_any();
    return control != nullptr && control->stop_requested();
}

std::stop_token Work::stop_token() {
    return control().token();
}

std::string Work::name() const {
    const ThreadControl* const control = control_if_any();
    return control != nullptr && !control->name.empty() ? control->name : call_name();
}

mp::Deadline Work::deadline() const noexcept {
    const ThreadControl* const control = control_if_any();
    return control != nullptr ? control->deadline : mp::Deadline(mp::forever);
}

Outcome Work::outcome_of(std::exception_ptr& thrown) const {
    const ThreadControl& control = *control_if_any();
    try {
        throw;
    } catch (const CancelledError&) {
        switch (control.reason()) {
        case SoftStop::no:
            break;
        case SoftStop::timeout:
            thrown = std::make_exception_ptr(TaskTimeout(
                "the task " + name() + " ran longer than its limit of " +
                mp::detail::seconds_text(control.limit.duration()) +
                ": it ended when it was asked to"
            ));
            break;
        case SoftStop::cancelled:
            thrown = nullptr;
            return Outcome::cancelled;
        }
    } catch (...) {
        return Outcome::exception;
    }
    return Outcome::exception;
}

}  // namespace futures::detail
