// SPDX-License-Identifier: BSL-1.0
// OpenStartMethod: while it lives, the default start method is as it is when a program
// begins: nobody has settled it.
#pragma once

#include "mp/start_method.hpp"

#include <optional>

namespace test {

class OpenStartMethod {
public:
    OpenStartMethod() : before_(mp::get_start_method({.allow_none = true})) {
        mp::detail::inherit_start_method(std::nullopt);
    }

    ~OpenStartMethod() { mp::detail::inherit_start_method(before_); }

    OpenStartMethod(const OpenStartMethod&) = delete;
    OpenStartMethod& operator=(const OpenStartMethod&) = delete;

private:
    std::optional<mp::StartMethod> before_;
};

}  // namespace test
