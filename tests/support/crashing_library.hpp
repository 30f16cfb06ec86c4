// SPDX-License-Identifier: BSL-1.0
// Functions of crashing_library.cpp and of a plug-in: each crashes in a way that leaves
// another stack.
#pragma once

extern "C" {
int third_crash(int x);
int third_abort(int x);
int third_call_nothing(int x);
int third_raise(int x);
int third_copy(int x);
int third_callback(int (*function)(int), int x);
}
