// SPDX-License-Identifier: BSL-1.0
#include "mp/context.hpp"

#include <stdexcept>
#include <string>

namespace mp {

void Context::set_start_method(StartMethod method, SetStartMethodOptions options)
    const {
    if (method_) {
        throw std::invalid_argument(
            "cannot set the start method of a '" + std::string(to_string(*method_)) +
            "' context"
        );
    }
    mp::set_start_method(method, options);
}

Context Context::get_context(std::string_view method) const {
    return mp::get_context(method);
}

mp::Process Context::bound(mp::Process process) const {
    if (method_) {
        process.bind(*method_);
    }
    return process;
}

Context get_context() noexcept {
    return Context();
}

Context get_context(std::string_view method) {
    return Context(start_method_from(method));
}

Context get_context(StartMethod method) noexcept {
    return Context(method);
}

}  // namespace mp
