/* server/auth/github_subject.h - GitHub's sub claim, held against the other claims of the same token.
 *
 * GitHub writes it in two forms, and in new or renamed repositories only in the second:
 *     repo:octocat/shop:ref:refs/heads/main
 *     repo:octocat@123456/shop@456789:environment:production
 * Behind the repository stand "ref:...", "environment:..." or "pull_request"; where an owner has customised the claim,
 * other pairs of a claim's name and its value, with a colon in a value as %3A. No decision is made from sub: it must
 * only agree with what decisions are made from. */
#pragma once

#include "core/jwt.h"
#include "server/auth/principal.h"

/* Accepts an absent ("") sub, and a customised one for the parts it can check. Where the token lacks repository_id or
 * repository_owner_id and sub has them, claims gets them; strings live in the arena. */
enum token_refusal github_subject_check(struct arena *a, struct github_claims *claims);
