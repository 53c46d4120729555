//! What single schemes do beside the common case.

use base64::Engine as _;

use super::*;

fn standard() -> Request {
    signed(
        &Scheme::new(SchemeName::StandardWebhooks),
        &secret_for(SchemeName::StandardWebhooks, 1),
        b"{}",
    )
}

fn base64(bytes: &[u8]) -> String {
    secret::BASE64.encode(bytes)
}

#[test]
fn the_id_that_identifies_is_the_id_that_is_signed() {
    // A Svix request with an unsigned `webhook-id` beside the signed `svix-id` would pass as another event.
    let request = standard();
    let mut svix = request.clone();
    for (name, _) in &mut svix.headers {
        *name = name.replace("webhook-", "svix-");
    }
    assert_eq!(svix.verify(), Ok(()));
    assert!(svix.with("webhook-id", "evt_2").verify().is_err());
    assert_eq!(
        request.with("svix-id", "evt_2").verify(),
        Ok(()),
        "webhook-id comes first"
    );
}

#[test]
fn ed25519_verifies_with_the_public_key_alone_and_only_its_own_kind() {
    let private = ed25519_dalek::SigningKey::from_bytes(&[3; 32]);
    let public = Secret::new(format!(
        "whpk_{}",
        base64(private.verifying_key().as_bytes())
    ));
    let scheme = Scheme::new(SchemeName::StandardWebhooks);
    let whsk = format!("whsk_{}", base64(&[3; 32]));
    let mut request = signed(&scheme, &whsk, b"{\"large\": true}");
    request.secrets = vec![public.clone()];
    assert_eq!(request.verify(), Ok(()));
    let with_public = [[3; 32], private.verifying_key().to_bytes()].concat();
    let as_libraries_write_it = format!("whsk_{}", base64(&with_public));
    let mut same = signed(&scheme, &as_libraries_write_it, b"{}");
    same.secrets = vec![public.clone()];
    assert_eq!(same.verify(), Ok(()), "the seed comes first");
    let no_public = Secret::new(format!("whpk_{}", base64(&with_public)));
    assert!(matches!(
        Verifier::new(&scheme, &[no_public]),
        Err(SchemeError::BadSecret { .. })
    ));
    request.secrets = vec![
        Secret::new(secret_for(SchemeName::StandardWebhooks, 9)),
        public.clone(),
    ];
    assert_eq!(request.verify(), Ok(()), "beside an HMAC secret");
    request.body.push(b' ');
    assert_eq!(request.verify(), Err(Rejection::SignatureMismatch));

    let hmac = Request {
        secrets: vec![public.clone()],
        ..standard()
    };
    assert!(
        matches!(hmac.verify(), Err(Rejection::MalformedHeader { .. })),
        "an HMAC says nothing to a public key"
    );
    // Anybody knows the public key: it must never serve as an HMAC key.
    assert_eq!(
        Signer::new(&scheme, &public).err(),
        Some(SchemeError::CannotSign)
    );
}

#[test]
fn the_id_is_sent_once_under_the_name_the_provider_gives_it() {
    for (scheme, header) in [
        (SchemeName::StandardWebhooks, "webhook-id"),
        (SchemeName::Github, "x-github-delivery"),
        (SchemeName::Shopify, "x-shopify-event-id"),
    ] {
        let request = signed(&Scheme::new(scheme), &secret_for(scheme, 1), b"{}");
        let named = request.headers.iter().filter(|(name, _)| name == header);
        let ids: Vec<_> = named.map(|(_, id)| id.as_slice()).collect();
        assert_eq!(ids, [b"evt_1"], "{header}");
    }
}

#[test]
fn a_header_full_of_signatures_is_refused() {
    let many = vec![format!("v1,{}", base64(&[0; 32])); 9].join(" ");
    let rejection = standard()
        .with("webhook-signature", many)
        .verify()
        .unwrap_err();
    assert!(
        rejection.to_string().contains("too many signatures"),
        "{rejection}"
    );
    let request = standard();
    let mut headers = request.headers.iter();
    let right = headers.find(|(name, _)| name == "webhook-signature");
    let right = String::from_utf8(right.unwrap().1.clone()).unwrap();
    let most = [vec![format!("v1,{}", base64(&[0; 32])); 7], vec![right]].concat();
    assert_eq!(
        request.with("webhook-signature", most.join(" ")).verify(),
        Ok(())
    );
}

#[test]
fn gitlab_compares_tokens_and_prefers_signatures() {
    let scheme = Scheme::new(SchemeName::Gitlab);
    let plain = signed(&scheme, "a token", b"{}");
    assert_eq!(plain.verify(), Ok(()));
    assert_eq!(
        plain.with("x-gitlab-token", "a toke").verify(),
        Err(Rejection::SignatureMismatch)
    );
    assert!(matches!(
        plain.without("x-gitlab-token").verify(),
        Err(Rejection::MissingHeader { .. })
    ));

    let whsec = secret_for(SchemeName::StandardWebhooks, 1);
    let with_signature = signed(&scheme, &whsec, b"{}");
    let both = Request {
        secrets: vec![Secret::new("a token"), Secret::new(whsec.clone())],
        ..with_signature
    };
    assert_eq!(both.verify(), Ok(()));
    let by_token = both
        .with("x-gitlab-token", "a token")
        .without("webhook-signature");
    assert_eq!(by_token.verify(), Ok(()), "what is not signed has a token");
    let listed_twice = Request {
        secrets: vec![Secret::new("a token"), Secret::new("a token")],
        ..plain.clone()
    };
    assert_eq!(listed_twice.verify(), Ok(()));
    let no_key = Secret::new("whsec_!");
    let wrong = Verifier::new(
        &scheme,
        &[plain.secrets[0].clone(), Secret::new(whsec.clone()), no_key],
    );
    assert!(matches!(
        wrong,
        Err(SchemeError::BadSecret { index: 2, .. })
    ));
    let forged = both
        .with("x-gitlab-token", "a token")
        .with("webhook-signature", format!("v1,{}", base64(&[0; 32])));
    assert_eq!(
        forged.verify(),
        Err(Rejection::SignatureMismatch),
        "a token does not mend a wrong signature"
    );

    let sent = Request {
        secrets: vec![Secret::new(whsec.clone())],
        ..plain
    }
    .with("x-gitlab-token", whsec);
    assert!(
        matches!(sent.verify(), Err(Rejection::MissingHeader { .. })),
        "what signs is never taken as a token"
    );
}

#[test]
fn twilio_may_write_the_port_or_leave_it_out() {
    let form = signed(&Scheme::new(SchemeName::Twilio), "token", b"a=1");
    for (as_signed, as_received) in [
        ("https://h/a?b=:1", "https://h:443/a?b=:1"),
        ("https://h:443/a", "https://h/a"),
        ("http://h:80", "http://h"),
        ("https://h/a", "https://h:8443/a"),
        ("https://[::1]:443/a", "https://[::1]/a"),
        ("https://[::1]/a", "https://[::1]:443/a"),
    ] {
        let headers = form.without("x-twilio-signature").headers;
        let head = RequestHead {
            method: "POST",
            url: as_signed,
            headers: &headers.as_slice(),
        };
        let (secret, now) = (&form.secrets[0], form.now);
        let added = sign(&form.scheme, secret, &head, "", now, &form.body).unwrap();
        let mut request = form.clone();
        for (name, value) in added {
            request = request.with(&name, value);
        }
        request.url = as_received.to_owned();
        assert_eq!(request.verify(), Ok(()), "{as_signed} {as_received}");
        request.url = as_received.replacen('h', "x", 2).replace("::1", "::2");
        assert_eq!(request.verify(), Err(Rejection::SignatureMismatch));
    }
}

#[test]
fn twilio_refuses_what_it_cannot_cover() {
    let form = signed(&Scheme::new(SchemeName::Twilio), "token", b"a=1&b=2");
    assert_eq!(form.verify(), Ok(()));
    let reordered = Request {
        body: b"b=2&a=1".to_vec(),
        ..form.clone()
    };
    assert_eq!(reordered.verify(), Ok(()), "fields are sorted");
    let untyped = form.with("content-type", "application/json");
    assert_eq!(untyped.verify(), Err(Rejection::BodyNotCovered));
    for sha1 in ["key=k", "algorithm=HMAC_SHA1", "key=k, algorithm=hmac_sha1"] {
        assert_eq!(form.with(twilio::SETTINGS, sha1).verify(), Ok(()), "{sha1}");
    }
    let settings = form.with(twilio::SETTINGS, "key=k,algorithm=HMAC_MD5");
    assert!(matches!(
        settings.verify(),
        Err(Rejection::MalformedHeader { .. })
    ));

    let mut limit = form;
    limit.body = vec![b'a'; FORM_MAX_BYTES];
    assert_eq!(
        limit.verify(),
        Err(Rejection::SignatureMismatch),
        "the limit itself is read"
    );
    limit.body.push(b'a');
    let head = RequestHead {
        method: "POST",
        url: &limit.url,
        headers: &limit.headers,
    };
    let mut verification = limit.verifier().begin(&head, limit.now).unwrap();
    let before = verification.held_bytes();
    limit
        .body
        .chunks(1000)
        .for_each(|chunk| verification.update(chunk));
    assert_eq!(
        verification.held_bytes(),
        before,
        "a form that is too large is let go"
    );
    assert_eq!(
        limit.verify(),
        Err(Rejection::BodyTooLarge {
            limit: FORM_MAX_BYTES
        })
    );
    assert_eq!(
        limit.verify_in(limit.body.chunks(1000)),
        Err(Rejection::BodyTooLarge {
            limit: FORM_MAX_BYTES
        })
    );
}

#[test]
fn a_json_body_of_twilio_cannot_be_dropped_by_calling_it_a_form() {
    let scheme = Scheme::new(SchemeName::Twilio);
    let headers: Vec<(String, Vec<u8>)> =
        vec![("content-type".into(), b"application/json".to_vec())];
    let mut head = RequestHead {
        method: "POST",
        url: URL,
        headers: &headers,
    };
    let secret = Secret::new("token");
    let now = Timestamp::from_secs(0);
    let Err(SchemeError::BodyNotSignable(hash)) = sign(&scheme, &secret, &head, "", now, b"{}")
    else {
        panic!("a JSON body needs its hash in the URL");
    };
    assert!(sign(&scheme, &secret, &head, "", now, b"").is_ok());
    let url = format!("{URL}&bodySHA256={hash}");
    head.url = &url;
    assert!(
        sign(&scheme, &secret, &head, "", now, b"{ }").is_err(),
        "the hash is another body's"
    );
    let added = sign(&scheme, &secret, &head, "", now, b"{}").unwrap();
    let headers = headers.iter().cloned().chain(
        added
            .into_iter()
            .map(|(name, value)| (name, value.into_bytes())),
    );
    let mut request = Request {
        scheme,
        secrets: vec![secret],
        url: url.clone(),
        headers: headers.collect(),
        body: b"{}".to_vec(),
        now,
    };
    assert_eq!(request.verify(), Ok(()));
    request = request.with("content-type", "application/x-www-form-urlencoded");
    assert_eq!(
        request.verify(),
        Ok(()),
        "the hash in the URL holds whatever the body is called"
    );
    request.body.clear();
    assert_eq!(request.verify(), Err(Rejection::SignatureMismatch));
}

#[test]
fn verifiers_are_shared_and_verifications_move_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    fn moved<T: Send + 'static>() {}
    shared::<Verifier>();
    shared::<Signer>();
    moved::<Verification>();
}

#[test]
fn a_body_of_any_size_is_checked_in_the_same_few_bytes() {
    for scheme in SchemeName::ALL
        .into_iter()
        .filter(|scheme| !matches!(scheme, SchemeName::Hmac | SchemeName::Twilio))
    {
        let request = signed(&Scheme::new(scheme), &secret_for(scheme, 1), b"");
        let head = RequestHead {
            method: "POST",
            url: URL,
            headers: &request.headers,
        };
        let mut verification = request.verifier().begin(&head, request.now).unwrap();
        let before = verification.held_bytes();
        for _ in 0..1000 {
            verification.update(&[0; 8192]);
        }
        assert_eq!(verification.held_bytes(), before, "{scheme}");
    }
}

#[test]
fn binary_bodies_are_bytes_like_any_others() {
    let body: Vec<u8> = (0..=255).cycle().take(5000).collect();
    for scheme in SchemeName::ALL
        .into_iter()
        .filter(|scheme| *scheme != SchemeName::Hmac)
    {
        let request = signed(&Scheme::new(scheme), &secret_for(scheme, 1), &body);
        assert_eq!(request.verify(), Ok(()), "{scheme}");
        assert_eq!(request.verify_in(body.chunks(7)), Ok(()), "{scheme}");
    }
}

#[test]
fn a_replay_is_the_same_request_and_only_time_or_deduplication_tells() {
    for scheme in SchemeName::ALL
        .into_iter()
        .filter(|scheme| *scheme != SchemeName::Hmac)
    {
        let request = signed(&Scheme::new(scheme), &secret_for(scheme, 1), b"a=1");
        assert_eq!(request.verify(), Ok(()), "{scheme}");
        let later = request.at(24 * 3600).verify();
        match scheme.preset().replay {
            Replay::Tolerance => assert!(matches!(later, Err(Rejection::Stale { .. })), "{scheme}"),
            Replay::Dedupe => assert_eq!(later, Ok(()), "{scheme}"),
        }
    }
}

#[test]
fn rejections_never_show_the_secret_or_the_right_signature() {
    let right = standard();
    let head: &dyn Headers = &right.headers;
    let signature = String::from_utf8(head.get("webhook-signature").unwrap().to_vec()).unwrap();
    for bent in [
        right.at(9999),
        right.at(-9999),
        right.with("webhook-signature", "v1,AAAA"),
        right.without("webhook-id"),
    ] {
        let text = format!("{0} {0:?}", bent.verify().unwrap_err());
        assert!(
            !text.contains(&signature[3..]) && !text.contains("whsec_"),
            "{text}"
        );
        assert!(!format!("{:?}", bent.verifier()).contains("whsec_"));
    }
}
