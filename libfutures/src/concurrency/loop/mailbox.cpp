// SPDX-License-Identifier: BSL-1.0
#include "concurrency/loop/mailbox.hpp"

#include <new>
#include <thread>

namespace concurrency::detail {

bool Mailbox::post(Letter& letter) {
    if (!is_of_this_process()) {
        return false;
    }
    const mp::detail::MutexLock lock(mutex_);
    if (driver_ == nullptr || ended_) {
        return false;
    }
    if (!is_asked_) {
        driver_->post_mail();
        is_asked_ = true;
    }
    letters_.push_back(letter);
    return true;
}

bool Mailbox::post_awaited(Letter& letter) noexcept {
    if (!is_of_this_process()) {
        return false;
    }
    for (;;) {
        try {
            const mp::detail::MutexLock lock(mutex_);
            if (driver_ == nullptr) {
                return false;
            }
            if (!is_asked_) {
                driver_->post_mail();
                is_asked_ = true;
            }
            letters_.push_back(letter);
            return true;
        } catch (const std::bad_alloc&) {
            // A task waits for it and there is nobody else to tell: memory comes back.
            std::this_thread::yield();
        }
    }
}

bool Mailbox::is_here() const noexcept {
    if (!is_of_this_process()) {
        return false;
    }
    const mp::detail::MutexLock lock(mutex_);
    return driver_ != nullptr && driver_->is_known_to_be_here();
}

void Mailbox::withdraw(Letter& letter) noexcept {
    if (!is_of_this_process()) {
        letter.unlink();
        return;
    }
    const mp::detail::MutexLock lock(mutex_);
    letter.unlink();
}

void Mailbox::end() noexcept {
    if (!is_of_this_process()) {
        return;
    }
    const mp::detail::MutexLock lock(mutex_);
    ended_ = true;
}

void Mailbox::close() noexcept {
    if (!is_of_this_process()) {
        return;  // a thread that is not here may have the mutex; nothing comes any more
    }
    List<Letter> late;
    {
        const mp::detail::MutexLock lock(mutex_);
        driver_ = nullptr;
        late.take(letters_);
    }
    while (!late.empty()) {
        late.pop_front().come_back();
    }
}

void Mailbox::take(List<Letter>& batch) noexcept {
    const mp::detail::MutexLock lock(mutex_);
    is_asked_ = false;
    batch.take(letters_);
}

}  // namespace concurrency::detail
