// SPDX-License-Identifier: BSL-1.0
// Groups, and what is inside an exception_ptr. A cancellation that ends many tasks asks
// that of each, so it must not cost a throw where the library shows the type without.
#include "concurrency/errors.hpp"

#include <algorithm>
#include <cxxabi.h>
#include <typeinfo>

namespace concurrency {

namespace {

template <class Exception>
bool is_exactly(const std::exception_ptr& exception) noexcept {
#ifdef __GLIBCXX__
    const std::type_info* type = exception ? exception.__cxa_exception_type() : nullptr;
    return type != nullptr && *type == typeid(Exception);
#else
    if (!exception) {
        return false;
    }
    try {
        std::rethrow_exception(exception);
    } catch (const Exception& e) {
        return typeid(e) == typeid(Exception);
    } catch (...) {
        return false;
    }
#endif
}

template <class Exception>
bool is_a(const std::exception_ptr& exception) noexcept {
    try {
        std::rethrow_exception(exception);
    } catch (const Exception&) {
        return true;
    } catch (...) {
        return false;
    }
}

// The group that this is, which the pointer keeps alive; null for anything else.
const BaseExceptionGroup* as_group(const std::exception_ptr& exception) noexcept {
    if (is_exactly<Cancelled>(exception)) {
        return nullptr;
    }
    try {
        std::rethrow_exception(exception);
    } catch (const BaseExceptionGroup& group) {
        return &group;
    } catch (...) {
        return nullptr;
    }
}

std::string summary_of(const std::string& message, std::size_t count) {
    return message + " (" + std::to_string(count) +
           (count == 1 ? " sub-exception)" : " sub-exceptions)");
}

bool are_errors(const std::vector<std::exception_ptr>& exceptions) {
    return std::all_of(exceptions.begin(), exceptions.end(), is_a<std::exception>);
}

}  // namespace

struct BaseExceptionGroup::Content {
    std::string message;
    std::vector<std::exception_ptr> exceptions;
    std::string summary;
};

BaseExceptionGroup::BaseExceptionGroup(
    std::string message, std::vector<std::exception_ptr> exceptions
) {
    if (exceptions.empty()) {
        throw ValueError("a group of exceptions needs at least one");
    }
    if (std::find(exceptions.begin(), exceptions.end(), nullptr) != exceptions.end()) {
        throw ValueError("a group of exceptions has one that is null");
    }
    std::string summary = summary_of(message, exceptions.size());
    content_ = std::make_shared<const Content>(Content{
        std::move(message), std::move(exceptions), std::move(summary)});
}

const std::string& BaseExceptionGroup::message() const noexcept {
    return content_->message;
}

const std::vector<std::exception_ptr>& BaseExceptionGroup::exceptions() const noexcept {
    return content_->exceptions;
}

const std::string& BaseExceptionGroup::summary() const noexcept {
    return content_->summary;
}

ExceptionGroup::ExceptionGroup(
    std::string message, std::vector<std::exception_ptr> members
)
    : BaseExceptionGroup(std::move(message), std::move(members)) {
    if (!are_errors(exceptions())) {
        throw ValueError("an ExceptionGroup has only what is a std::exception; "
                         "BaseExceptionGroup takes anything");
    }
}

bool is_cancelled(const std::exception_ptr& exception) noexcept {
    return is_exactly<Cancelled>(exception);
}

std::pair<std::exception_ptr, std::exception_ptr>
split_cancellation(const std::exception_ptr& exception) {
    if (!exception) {
        return {};
    }
    if (is_cancelled(exception)) {
        return {exception, nullptr};
    }
    const BaseExceptionGroup* group = as_group(exception);
    if (group == nullptr) {
        return {nullptr, exception};
    }
    std::vector<std::exception_ptr> cancellations;
    std::vector<std::exception_ptr> others;
    for (const std::exception_ptr& member : group->exceptions()) {
        auto [cancelled, other] = split_cancellation(member);
        if (cancelled) {
            cancellations.push_back(std::move(cancelled));
        }
        if (other) {
            others.push_back(std::move(other));
        }
    }
    if (others.empty()) {
        return {exception, nullptr};
    }
    if (cancellations.empty()) {
        return {nullptr, exception};
    }
    return {
        detail::make_group(group->message(), std::move(cancellations)),
        detail::make_group(group->message(), std::move(others))};
}

std::exception_ptr non_cancel_subgroup(const std::exception_ptr& exception) {
    return split_cancellation(exception).second;
}

namespace detail {

std::exception_ptr
make_group(const std::string& message, std::vector<std::exception_ptr> exceptions) {
    if (are_errors(exceptions)) {
        return std::make_exception_ptr(ExceptionGroup(message, std::move(exceptions)));
    }
    return std::make_exception_ptr(BaseExceptionGroup(message, std::move(exceptions)));
}

}  // namespace detail

}  // namespace concurrency
